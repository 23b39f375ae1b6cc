import type { CertificateIntent } from '../tenant/index.ts'
import { authorityGaps, certificatesIn, deviceGaps, type Gap, linkGaps } from './ground.ts'
import type { CheckContext } from './types.ts'

/** One of the questions that admins ask before rollout, and whether what is known answers it. */
export interface QuestionAnswer {
  readonly question: string
  readonly answered: 'yes' | 'in-part' | 'no'
  /** What would have to be known, and how to tell it. Absent where nothing is missing. */
  readonly missing?: string
}

export interface KnownBesides {
  readonly probed: boolean
  readonly emulated: boolean
}

/** What a question is asked of. */
interface Asked extends KnownBesides {
  readonly context: CheckContext
  /** SCEP, PKCS and imported PFX profiles. */
  readonly certificates: readonly CertificateIntent[]
  readonly scep: readonly CertificateIntent[]
  /** Those that say whom the certificate names. */
  readonly named: readonly CertificateIntent[]
}

interface Question {
  readonly question: string
  /** None where it is answered, or where the export holds nothing that it is about. */
  readonly gaps: (asked: Asked) => readonly Gap[]
}

/** What is missing limits what can be answered, and this says so. Questions about nothing that the export holds are answered. */
export function answersOf(context: CheckContext, besides: KnownBesides): readonly QuestionAnswer[] {
  const certificates = certificatesIn(context.imported)
  const scep = certificates.filter(({ kind }) => kind === 'scep')
  const named = certificates.filter(({ kind }) => kind !== 'imported-pfx')
  return questions.map(({ question, gaps }) => answerOf(question, gaps({ ...besides, context, certificates, scep, named })))
}

function answerOf(question: string, gaps: readonly Gap[]): QuestionAnswer {
  if (gaps.length === 0) return { question, answered: 'yes' }
  const answered = gaps.some(({ whole }) => whole) ? 'no' : 'in-part'
  return { question, answered, missing: gaps.map(({ text }) => text).join('; ') }
}

const gap = (text: string, whole: boolean): readonly Gap[] => [{ text, whole }]

/** In the order of `graph-and-delivery`. */
const questions: readonly Question[] = [
  {
    question: 'Does each certificate reach its devices through the same user or device as its root?',
    gaps: ({ context, certificates }) => [
      ...deviceGaps(certificates, context, context.imported.assignments.length > 0 ? 'part' : 'whole'),
      ...linkGaps(certificates),
    ],
  },
  {
    question: 'On Android, do root, certificate and what uses it go to groups of one kind?',
    gaps: ({ context, certificates }) => deviceGaps(ofPlatforms(certificates, 'android'), context),
  },
  {
    question: 'Which devices and users lack a value that a name is made of?',
    gaps: ({ context, named }) => deviceGaps(named, context),
  },
  {
    question: 'Which subject and alternative names does each device send, and does a comma in them do harm?',
    gaps: ({ context, named }) => deviceGaps(named, context, 'part'),
  },
  {
    question: 'Does each SCEP server lead to the root that its profile names?',
    gaps: ({ scep, probed }) => [
      ...(scep.length === 0 || probed ? [] : gap('what the SCEP servers present (--probe)', true)),
      ...linkGaps(scep),
    ],
  },
  { question: 'Does each Android profile have the alternative name that Android asks for?', gaps: () => [] },
  {
    question: 'Does the challenge come whole through the SCEP client of each platform?',
    gaps: ({ scep, emulated }) => (scep.length === 0 || emulated ? [] : gap('a run of the devices (--emulate)', true)),
  },
  {
    question: 'Does the CA give the lifetime and the extended key usages that are asked for?',
    gaps: ({ context, named }) => authorityGaps(named, context, ['validity', 'expiresAt', 'extendedKeyUsages']),
  },
  {
    question: 'Which certificates does an edit of these profiles revoke or issue again?',
    gaps: ({ certificates }) => (certificates.length === 0 ? [] : gap('the export as it was before (--diff OLD)', true)),
  },
  {
    question: 'When is each certificate renewed, and what if its device is off or locked then?',
    gaps: ({ context, named }) => authorityGaps(named, context, ['validity', 'expiresAt']).map(({ text }) => ({ text, whole: false })),
  },
  {
    question: 'How many certificates does each device come to hold?',
    gaps: ({ context, certificates }) => [...deviceGaps(certificates, context), ...consumerGaps(context)],
  },
  {
    question: 'Does each certificate profile still name its root after the export?',
    gaps: ({ certificates }) => linkGaps(certificates),
  },
  {
    question: 'Does each certificate hold the security identifier by which a directory maps it?',
    gaps: ({ context, named }) => deviceGaps(ofPlatforms(named, 'ios', 'macos', 'windows'), context, 'part'),
  },
  {
    question: 'Which users, and which devices without one, get no imported PFX?',
    gaps: ({ context, certificates }) => importedPfxGaps(certificates, context),
  },
  {
    question: 'At which step does a profile stop that stays pending or fails, and why?',
    gaps: ({ context, certificates, emulated }) => [
      ...deviceGaps(certificates, context),
      ...(certificates.length === 0 || emulated ? [] : gap('a run of the devices (--emulate)', false)),
    ],
  },
]

function ofPlatforms(profiles: readonly CertificateIntent[], ...platforms: readonly CertificateIntent['platform'][]) {
  return profiles.filter(({ platform }) => platforms.includes(platform))
}

function consumerGaps({ imported: { consumers } }: CheckContext): readonly Gap[] {
  const unlinked = consumers.filter(({ certificateProfileId }) => certificateProfileId === undefined)
  if (unlinked.length === 0) return []
  return gap(
    `which certificate ${unlinked.length} of ${consumers.length} Wi-Fi, VPN and email profiles use (an export with their links)`,
    false,
  )
}

function importedPfxGaps(certificates: readonly CertificateIntent[], context: CheckContext): readonly Gap[] {
  const imported = certificates.filter(({ kind }) => kind === 'imported-pfx')
  if (imported.length === 0) return []
  const { tenant } = context
  const unknown = tenant && tenant.importedPfx === undefined
  return [...deviceGaps(imported, context), ...(unknown ? gap(`for whom PFX were imported (importedPfx in ${tenant.file})`, false) : [])]
}
