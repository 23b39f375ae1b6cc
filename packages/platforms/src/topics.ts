import type { Fact } from './fact.ts'

export interface FactTopic {
  readonly title: string
  readonly facts: readonly Fact[]
}

/** By id; the first that matches has the fact. */
const topics: readonly (readonly [title: string, ids: RegExp])[] = [
  ['Profiles', /^(profile|scep-profile|pfx-profile|subject)\.|applies$/],
  ['Variables', /variables\./],
  ['NDES', /^ndes\./],
  ['CA and hosts', /^(ca|service)\.|proof-of-origin$/],
  ['Challenge and validation API', /^(challenge|validation)\./],
  ['PFX', /\.pfx\./],
  ['Removal and revocation', /removal\./],
  ['Renewal and pending requests', /(^|\.)(renewal|pending)\./],
  ['SCEP on the wire', /(^|\.)scep\./],
  ['Keys and requests', /(^|\.)(key-size|key-type|key-storage|tpm|software|passport|hash|validity|extended-key-usage|exportable)\./],
  ['Settings', /^(destination-store|subject-format)\./],
]

/** The facts by topic, each in the order in which they came; what belongs to none is under a title of its own, at the end. */
export function factTopics(facts: readonly Fact[]): readonly FactTopic[] {
  const titleOf = ({ id }: Fact) => topics.find(([, ids]) => ids.test(id))?.[0] ?? 'More'
  return [...topics.map(([title]) => title), 'More']
    .map((title) => ({ title, facts: facts.filter((fact) => titleOf(fact) === title) }))
    .filter((topic) => topic.facts.length > 0)
}
