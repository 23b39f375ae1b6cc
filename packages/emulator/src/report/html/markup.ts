import { printable } from '../printable.ts'

/** Text that is HTML already. `markup` alone makes it, so that whatever came from outside is escaped. */
export interface Markup {
  readonly html: string
}

type Part = Markup | string | number | undefined | readonly Part[]

/** HTML from a template: what is filled in is text and escaped, unless it is markup; undefined is nothing, and a list one after the other. */
export function markup(pieces: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { html: pieces.map((piece, i) => piece + (i < parts.length ? htmlOf(parts[i]) : '')).join('') }
}

function htmlOf(part: Part): string {
  if (part === undefined) return ''
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part))
  return 'html' in part ? part.html : part.map(htmlOf).join('')
}

/** In a browser `printable` keeps what could reorder a line from doing so. */
function escaped(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** A value inside a `<script type="application/json">`: nothing in it ends the element. */
export function jsonMarkup(value: unknown): Markup {
  return { html: JSON.stringify(value).replaceAll('<', '\\u003c') }
}

export interface Column {
  readonly head: string
  /** Set to the right, with figures of one width. Default: text, to the left. */
  readonly isFigure?: true
}

export interface TableParts {
  /** For those who hear the page; a heading says it to the others. */
  readonly caption: string
  readonly columns: readonly Column[]
  /** The first cell of each is the head of its row. */
  readonly rows: readonly (readonly Part[])[]
}

export function table({ caption, columns, rows }: TableParts): Markup {
  const isFigure = (column: number) => (columns[column]?.isFigure ? markup` class="figure"` : undefined)
  const heads = columns.map(({ head }, i) => markup`<th scope="col"${isFigure(i)}>${head}</th>`)
  return wide(
    markup`<table><caption>${caption}</caption><thead><tr>${heads}</tr></thead><tbody>${rows.map((row) => tableRow(row, isFigure))}</tbody></table>`,
    caption,
  )
}

function tableRow(cells: readonly Part[], isFigure: (column: number) => Markup | undefined): Markup {
  const [first, ...others] = cells
  return markup`<tr><th scope="row">${first}</th>${others.map((cell, i) => markup`<td${isFigure(i + 1)}>${cell}</td>`)}</tr>\n`
}

/** Scrolls sideways where the page is narrow, by the keyboard too. */
export function wide(content: Markup, label: string): Markup {
  return markup`<div class="wide" role="region" tabindex="0" aria-label="${label}">${content}</div>`
}

export function section(id: string, title: string, ...content: readonly Part[]): Markup {
  return markup`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>${content}</section>\n`
}
