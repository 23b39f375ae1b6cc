import { isObject } from './json.ts'
import type { Finding } from './types.ts'

/** One answer of Graph that is a list. */
export interface Page {
  readonly file: string
  /** Pages of one list have the same. */
  readonly context: unknown
  /** Graph had more to tell. */
  readonly goesOn: boolean
}

export function pagesIn(root: unknown, file: string): Page[] {
  return (Array.isArray(root) ? root : [root])
    .filter((answer) => isObject(answer) && Array.isArray(answer.value))
    .map((answer) => ({ file, context: answer['@odata.context'], goesOn: typeof answer['@odata.nextLink'] === 'string' }))
}

/** Told of each list whose last page is in no file. */
export function missingPages(pages: readonly Page[]): Finding[] {
  const last = new Map(pages.filter(({ goesOn }) => goesOn).map((page) => [page.context, page]))
  for (const { context, goesOn } of pages) if (!goesOn) last.delete(context)
  return [...last.values()].map(({ file }) => ({
    id: 'page-missing',
    severity: 'warning',
    file,
    path: '@odata.nextLink',
    message: 'Graph had more pages of this list; what they hold is not known here',
    action: 'save every page up to the one without "@odata.nextLink", or export by the script of --how-to-export',
  }))
}
