import { fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export const registrationToken = 'kill-only-registration-token'

export interface LabStart {
  readonly folder: string
  /** The step at which it kills itself. Default: it lives. */
  readonly killAt?: number
}

/** At which steps of its store the first and the last certificate went on record. */
export interface Issues {
  readonly first: number
  readonly last: number
}

export type LabWord = { readonly url: string } | { readonly issues: Issues }

export interface LabProcess {
  readonly url: string
  readonly pid: number
  /** So far, since it serves. */
  issues(): Promise<Issues>
  /** Resolves once the process is gone; the call at which it killed itself, if it did. */
  readonly ended: Promise<string | undefined>
  /** Ends it as one ends a program. Once it is gone, nothing happens. */
  stop(): Promise<void>
}

/** Serves the lab of a folder in a process of its own. It ends with this one. */
export async function startLabProcess(start: LabStart, script = 'kill-lab', wrapper: readonly string[] = []): Promise<LabProcess> {
  const file = fileURLToPath(new URL(`./${script}${extname(import.meta.url)}`, import.meta.url))
  const [program, ...before] = wrapper
  const execution = program === undefined ? {} : { execPath: program, execArgv: [...before, process.execPath, ...process.execArgv] }
  const child = fork(file, [JSON.stringify(start)], { ...execution, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const said = child.stdout ? text(child.stdout) : Promise.resolve('')
  const ended = once(child, 'exit').then(async ([code, signal]) => {
    const killedAt = await said
    if (signal === 'SIGKILL' && killedAt !== '') return killedAt
    if (code === 0) return undefined
    throw new Error(`the lab ended with ${code ?? signal}`)
  })
  const next = () => Promise.race([once(child, 'message').then(([word]) => word as LabWord), ended.then(() => ({ url: '' }))])
  const url = await next()
  ended.catch(() => {})
  return {
    url: 'url' in url ? url.url : '',
    pid: child.pid ?? 0,
    async issues() {
      child.send('issues')
      const word = await next()
      return 'issues' in word ? word.issues : { first: 0, last: 0 }
    },
    ended,
    async stop() {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}
