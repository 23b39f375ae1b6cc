const nameForm = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const labelForm = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\})/

/**
 * Reads Prometheus's text format 0.0.4 strictly: every metric has one HELP and one TYPE before its samples, stands in one piece, no
 * sample stands twice, and names end as their types ask. By name and labels, sorted, `{a="b"}` with JSON's quoting.
 */
export function samplesOf(text: string): ReadonlyMap<string, number> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const samples = new Map<string, number>()
  const seen = new Set<string>()
  let metric = { name: '', type: '' }
  for (const line of text.split('\n')) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (keyword === 'HELP') {
      if (seen.has(name)) throw new Error(`${name} stands twice`)
      seen.add(name)
      metric = { name, type: '' }
    } else if (keyword === 'TYPE') {
      if (name !== metric.name || metric.type !== '') throw new Error(`TYPE of ${name} is out of place`)
      metric = { name, type: rest }
      if ((rest === 'counter') !== name.endsWith('_total')) throw new Error(`${name} is a ${rest}`)
    } else if (line !== '') addSample(line, metric, samples)
  }
  return samples
}

function addSample(line: string, metric: { readonly name: string; readonly type: string }, samples: Map<string, number>): void {
  const name = nameForm.exec(line)?.[0] ?? ''
  const endings = metric.type === 'summary' ? ['', '_sum', '_count'] : ['']
  if (metric.type === '' || !endings.some((ending) => name === metric.name + ending)) throw new Error(`out of place: ${line}`)
  const { labels, rest } = labelsOf(line.slice(name.length))
  if (!/^ -?\d+(\.\d+)?(e[+-]?\d+)?$/.test(rest)) throw new Error(`no number: ${line}`)
  const key = `${name}${labels}`
  if (samples.has(key)) throw new Error(`stands twice: ${key}`)
  samples.set(key, Number(rest))
}

function labelsOf(text: string): { labels: string; rest: string } {
  if (!text.startsWith('{')) return { labels: '', rest: text }
  const labels: string[] = []
  for (let rest = text.slice(1); ; ) {
    const [whole, name, value = '', end] = labelForm.exec(rest) ?? []
    if (whole === undefined) throw new Error(`no label: ${rest}`)
    labels.push(`${name}=${JSON.stringify(value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped)))}`)
    rest = rest.slice(whole.length)
    if (end === '}') return { labels: `{${labels.sort().join(',')}}`, rest }
  }
}
