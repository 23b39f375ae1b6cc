import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import { missing } from '../interop/peers.ts'
import { run } from '../tooling/process.ts'

export const chromiumMissing = missing(['/usr/bin/chromium'], 'chromium')

export interface Seen {
  /** After its scripts ran. */
  readonly dom: string
  /** What the page's console told: errors, and what its policy refused. */
  readonly told: readonly string[]
  /** A file of the folder in which it ran. */
  read(name: string): Buffer
}

/** Opens a page from its file, as a person would. */
export async function opened(t: Test, html: string, ...switches: readonly string[]): Promise<Seen> {
  return openedBeside(t, {}, html, ...switches)
}

/** The same, with other files in its folder. */
export async function openedBeside(
  t: Test,
  beside: Readonly<Record<string, string>>,
  html: string,
  ...switches: readonly string[]
): Promise<Seen> {
  const folder = t.testdir({ ...beside, 'report.html': html })
  const page = pathToFileURL(join(folder, 'report.html')).href
  const own = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', `--user-data-dir=${join(folder, 'profile')}`]
  const logging = ['--enable-logging=stderr', '--v=0', '--dump-dom', '--no-pdf-header-footer']
  const { output } = await run('/usr/bin/chromium', [...own, ...logging, ...switches, page], { cwd: folder })
  return {
    dom: output.slice(0, output.lastIndexOf('</html>')),
    told: output.split('\n').filter((line) => /CONSOLE/.test(line)),
    read: (name) => readFileSync(join(folder, name)),
  }
}
