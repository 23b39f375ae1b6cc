import type { Fact } from './fact.ts'

export interface FactTopic {
  readonly title: string
  readonly facts: readonly Fact[]
}

/** By id; the first that matches has the fact. */
const topics: readonly (readonly [title: string, ids: RegExp])[] = [
  ['Profiles', /^(profile|scep-profile|pfx-profile|subject|applies)\.|applies$/],
  ['Variables', /variables\./],
  ['NDES', /^ndes\./],
  ['CA and hosts', /^(ca|service)\.|proof-of-origin$/],
  ['Challenge and validation API', /^(challenge|validation)\./],
  ['PFX', /\.pfx\./],
  ['Removal and revocation', /removal\./],
  ['Renewal and pending requests', /(^|\.)(renewal|pending)\./],
  ['SCEP on the wire', /(^|\.)scep\./],
  ['Keys and requests', /(^|\.)(key-size|key-type|key-storage|tpm|software|passport|hash|validity|extended-key-usage|exportable)\./],
  [
    'Settings',
    /^(destination-store|subject-format|name|description|renewal-threshold|multi-factor|scep-url|several-urls|subject-alt-names|key-usage|root)\.|\.key-usage\./,
  ],
  ['Trust and dependency', /(^|\.)(trust|store)\.|^android\.root\./],
  ['What the user has a say in', /^android\.(identity|storage|report)\./],
  ['Windows: ClientCertificateInstall', /^windows\.csp\./],
  ['Android: SyncML of 2018', /^android\.syncml\./],
  ['Apple: configuration profiles', /^(apple|macos)\.(scep-payload|certificate-payload|profile)\./],
  ['Status and errors', /(^|\.)(status|error)\./],
]

/** The facts by topic, each in the order in which they came; what belongs to none is under a title of its own, at the end. */
export function factTopics(facts: readonly Fact[]): readonly FactTopic[] {
  const titleOf = ({ id }: Fact) => topics.find(([, ids]) => ids.test(id))?.[0] ?? 'More'
  return [...topics.map(([title]) => title), 'More']
    .map((title) => ({ title, facts: facts.filter((fact) => titleOf(fact) === title) }))
    .filter((topic) => topic.facts.length > 0)
}
