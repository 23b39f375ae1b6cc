import { facts, sources } from '@certfleet/platforms'
import { type Markup, markup, section, table } from '../../report/html/markup.ts'
import type { Emulation } from '../emulate.ts'
import type { QuestionAnswer } from '../questions.ts'
import type { CheckView } from './view.ts'
import { clipped, counted, messageLength, nameLength } from './words.ts'

const mostDisagreements = 200

const answeredTexts = {
  yes: { kind: 'fine', sign: '✓', text: 'Yes' },
  'in-part': { kind: 'warned', sign: '!', text: 'In part' },
  no: { kind: 'fails', sign: '✕', text: 'No' },
} as const

/** What the check could not tell, open ones first. */
export function questionTable(answers: readonly QuestionAnswer[]): Markup | undefined {
  if (answers.length === 0) return undefined
  const ordered = [...answers.filter(({ missing }) => missing !== undefined), ...answers.filter(({ missing }) => missing === undefined)]
  const rows = ordered.map(({ question, answered, missing = '' }) => {
    const { kind, sign, text } = answeredTexts[answered]
    return [
      question,
      markup`<span class="chip ${kind}"><span aria-hidden="true">${sign}</span> ${text}</span>`,
      clipped(missing, messageLength),
    ]
  })
  const columns = ['Question', 'Answered', 'What would have to be known'].map((head) => ({ head }))
  return section('questions', 'What is answered, and what stays open', table({ caption: 'Questions', columns, rows }))
}

/** Where check and emulation say different things, one of them is wrong. */
export function emulationTable(emulation: Emulation | undefined, { labelOf }: CheckView): Markup | undefined {
  if (emulation === undefined) return undefined
  const { devices, disagreements, notEmulated } = emulation
  const beyond = notEmulated > 0 ? ` ${counted(notEmulated, 'finding')} could not be held against it.` : ''
  const note = markup`<p>${counted(devices, 'emulated device')} enrolled with these profiles against a lab of their own.${beyond}</p>`
  if (disagreements.length === 0)
    return section('emulation', 'Emulation', note, markup`<p class="none">The check and the emulation agree.</p>`)
  const rows = disagreements
    .slice(0, mostDisagreements)
    .map(({ device, profile, predicted, emulated }) => [
      labelOf(device),
      clipped(profile, nameLength),
      clipped(predicted, messageLength),
      clipped(emulated, messageLength),
    ])
  const columns = ['Device', 'Profile', 'The check says', 'Emulated'].map((head) => ({ head }))
  const left = disagreements.length - rows.length
  return section(
    'emulation',
    'Emulation',
    note,
    markup`<p class="warning">${counted(disagreements.length, 'outcome')} of the check and the emulation differ: one of the two is wrong.</p>`,
    table({ caption: 'Disagreements', columns, rows }),
    left > 0 ? markup`<p class="note">and ${left} more</p>` : undefined,
  )
}

/** The facts and documents that the findings rest on. */
export function sourceTable({ findings }: CheckView): Markup | undefined {
  const cited = new Set(findings.flatMap(({ source }) => source?.split(/; |, /) ?? []))
  const known = facts.filter(({ id }) => cited.has(id)).map(({ id, effect, source }) => [code(id), effect, source])
  const documents = Object.entries(sources).filter(([key]) => [...cited].some((one) => one === key || one.startsWith(`${key} `)))
  const rows = [...known, ...documents.map(([key, what]) => [code(key), what, ''])]
  if (rows.length === 0) return undefined
  const columns = ['Cited as', 'What it says', 'Read in'].map((head) => ({ head }))
  return section('sources', 'Sources', table({ caption: 'Sources', columns, rows }))
}

const code = (text: string): Markup => markup`<code>${text}</code>`
