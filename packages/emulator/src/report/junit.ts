/** One result as CI shows it. */
export interface JunitCase {
  readonly suite: string
  readonly name: string
  readonly status: 'passed' | 'failed' | 'skipped'
  /** Why it failed or was skipped. */
  readonly reason: string
  /** What it rests on. */
  readonly source: string
}

/** The results as JUnit XML, a suite for each name of one, in the order in which they first stand. */
export function junitXml(title: string, cases: readonly JunitCase[]): string {
  const suites = [...new Set(cases.map(({ suite }) => suite))]
  const lines = suites.flatMap((suite) =>
    suiteLines(
      suite,
      cases.filter((one) => one.suite === suite),
    ),
  )
  return `${['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites ${attributes({ name: title, ...counts(cases) })}>`, ...lines, '</testsuites>'].join('\n')}\n`
}

function suiteLines(name: string, cases: readonly JunitCase[]): readonly string[] {
  return [`  <testsuite ${attributes({ name, ...counts(cases) })}>`, ...cases.map(caseLine), '  </testsuite>']
}

function caseLine({ suite, name, status, reason, source }: JunitCase): string {
  const opening = `    <testcase ${attributes({ classname: suite, name })}`
  const kind = { passed: undefined, failed: 'failure', skipped: 'skipped' }[status]
  return kind === undefined
    ? `${opening}/>`
    : `${opening}><${kind} ${attributes({ message: reason })}>${escaped(source)}</${kind}></testcase>`
}

function counts(cases: readonly JunitCase[]) {
  const count = (status: JunitCase['status']) => cases.filter((one) => one.status === status).length
  return { tests: cases.length, failures: count('failed'), skipped: count('skipped') }
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escaped(String(value))}"`)
    .join(' ')
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

/** What XML 1.0 has no place for (2.2) is shown as its code. */
function escaped(text: string): string {
  return text
    .replace(/[&<>"\t\n\r]/g, (character) => entities[character] as string)
    .replace(/[\p{Cc}\p{Cs}\ufffe\uffff]/gu, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`)
}
