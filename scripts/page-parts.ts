import { readFileSync } from 'node:fs'

const root = new URL('../../../', import.meta.resolve('@certfleet/agent-core'))

export const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')

/** A page as it stands, its generated parts made anew. */
export function withParts(path: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((page, [name, text]) => withPart(page, name, text, path), read(path))
}

function withPart(page: string, name: string, text: string, path: string): string {
  const [begin, end] = [`<!-- ${name}: made by npm run docs -->\n`, `\n<!-- end of ${name} -->`]
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} has no place for "${name}"`)
  return page.slice(0, from + begin.length) + text + page.slice(to)
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `|${cells.map((cell) => (cell === '' ? ' |' : ` ${cell} |`)).join('')}`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}
