import { adviceByCode, type ErrorAdvice, type FixedBy, type Retry } from '@certfleet/agent-core'

const fixers: Record<FixedBy, string> = {
  admin: 'the administrator: the profile, its assignment, or the server that it names',
  ca: "the CA's side: its certificates, its algorithms, or its answer",
  network: 'whoever runs what lies between device and server, or the server itself',
  device: 'the device: its clock, its keys, or its stores',
  user: 'the user: by unlocking the device, setting a PIN, or proving who they are',
  embedder: 'the program that embeds the agent: its state store, or the secret of its keys',
}

const retries: Record<Retry, string> = {
  now: 'at the next pass',
  backoff: 'by itself, after a delay that grows with every failure in a row',
  'on-new-policy': 'once with each revision of the policy',
  'on-user': 'at each pass, once the user has done what the message says',
  'on-unlock': 'when the device is unlocked, or after the delay',
  never: 'not at all, with this profile on this device',
}

const attempts: Record<ErrorAdvice['attempt'], string> = {
  keep: 'key and transactionID are kept, and the next try sends the same request again',
  end: 'the attempt is over, and the next try makes a key of its own',
}

/** Every error code and what it asks for, as a Markdown page. */
export function errorsPage(): string {
  const rows = Object.entries(adviceByCode).map(
    ([code, { fixedBy, retry, attempt }]) => `| \`${code}\` | ${fixedBy} | ${retry} | ${attempt} |`,
  )
  return `${[introduction, table(rows), legend('Who can put it right', fixers), legend('When it is tried again', retries), legend('What becomes of the attempt', attempts)].join('\n\n')}\n`
}

const introduction = `# Errors

Generated from \`packages/agent-core/src/errors.ts\` by \`npm run docs\`; change the rows, not this page.

Every failure that certfleet foresees is an \`AgentError\` with one of these codes; anything else that is thrown is a bug. One failed action never stops the others.`

function table(rows: readonly string[]): string {
  return ['| Code | Put right by | Tried again | Attempt |', '|---|---|---|---|', ...rows].join('\n')
}

function legend(title: string, meanings: Record<string, string>): string {
  return [`## ${title}`, '', ...Object.entries(meanings).map(([word, meaning]) => `- \`${word}\`: ${meaning}.`)].join('\n')
}
