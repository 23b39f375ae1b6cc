import type { Explanation } from './explain.ts'
import type { ExplainedStep } from './explain-walk.ts'

const markers = { 'goes-on': '+', stops: 'x', ignored: '~', told: '-' } as const satisfies Record<ExplainedStep['outcome'], string>

/** For people: a line or two a step. */
export function explanationText({ profile, device, steps }: Explanation): string {
  const legend = '  + goes on   x stops here   ~ has no effect   - to know\n'
  return `"${profile}" on ${device}\n${steps.map(stepText).join('')}${legend}`
}

function stepText({ title, outcome, text, source }: ExplainedStep): string {
  return `  ${markers[outcome]} ${title}: ${text}${source ? ` [${source}]` : ''}\n`
}
