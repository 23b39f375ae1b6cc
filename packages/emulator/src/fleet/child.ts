import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AgentError } from '@certfleet/agent-core'
import { systemClock } from '@certfleet/agent-core/system'
import type { ProcessNews, ProcessOrders, ProcessRequest } from './messages.ts'

/** A process of the fleet, as the one that started it sees it. */
export interface FleetProcess {
  readonly pid: number | undefined
  send(request: ProcessRequest): void
  /** Resolves with what it tells next of that kind. Rejects with why it could not begin, and with `ERR_NETWORK` when it ends before. */
  next<Kind extends ProcessNews['kind']>(kind: Kind): Promise<Extract<ProcessNews, { kind: Kind }>>
  /** Resolves once it has ended, with why where that was not at its own time. */
  readonly ended: Promise<string | undefined>
  kill(): void
}

const isSource = import.meta.url.endsWith('.ts')
const entry = fileURLToPath(new URL(isSource ? './process.ts' : './process.js', import.meta.url))
/** Sources run by tsx, in a child as in whoever started it. */
const sourceArguments = ['--import', 'tsx', '--conditions=certfleet-source']

/** Devices that are idle are many: old space keeps no holes that their enrolments left, and threads share one arena of malloc. */
const memoryArguments = ['--compact-on-every-full-gc']

export function startProcess(orders: ProcessOrders, onNews: (news: ProcessNews) => void = () => {}): FleetProcess {
  const isSourceSet = process.execArgv.some((argument) => argument.includes('certfleet-source'))
  const child = fork(entry, [], {
    execArgv: [...process.execArgv, ...memoryArguments, ...(isSource && !isSourceSet ? sourceArguments : [])],
    env: { ...process.env, MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '1' },
    // Keeps bytes and maps as they are.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // A terminal's Ctrl+C is for the first process alone: it would end a child that is not up yet.
    detached: true,
  })
  let isThrough = false
  child.on('message', (news: ProcessNews) => {
    if (news.kind === 'through') {
      isThrough = true
      killLater(child)
    }
    onNews(news)
  })
  // What it told last may arrive after its exit: the channel's end comes behind it.
  const heard = new Promise<void>((resolve) => child.once('disconnect', resolve))
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => resolve(`could not be started (${error.code ?? error.message})`))
    child.once('exit', (code, signal) => {
      const why = signal ? `killed by ${signal}` : `ended with exit code ${code}`
      heard.then(() => resolve(isThrough ? undefined : why))
    })
  })
  send(child, orders)
  return {
    pid: child.pid,
    send: (request) => send(child, request),
    next: (kind) => nextOf(child, ended, kind),
    ended,
    kill: () => void child.kill('SIGKILL'),
  }
}

/** What a process leaves to do, such as the spans of an exporter, has its time; nothing keeps it for good. */
const lingerMs = 10_000

function killLater(child: ChildProcess): void {
  const ended = new AbortController()
  child.once('exit', () => ended.abort(lingered))
  systemClock.sleep(lingerMs, ended.signal).then(
    () => void child.kill('SIGKILL'),
    () => undefined,
  )
}

const lingered = 'the process has ended'

/** To a process that has just ended nothing can be sent, which its end tells. */
function send(child: ChildProcess, message: ProcessOrders | ProcessRequest): void {
  if (child.connected) child.send(message, () => {})
}

function nextOf<Kind extends ProcessNews['kind']>(
  child: ChildProcess,
  ended: Promise<string | undefined>,
  kind: Kind,
): Promise<Extract<ProcessNews, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    const onMessage = (news: ProcessNews) => {
      if (news.kind === 'refused') reject(new AgentError(news.code, news.message))
      if (news.kind !== kind) return
      child.off('message', onMessage)
      resolve(news as Extract<ProcessNews, { kind: Kind }>)
    }
    child.on('message', onMessage)
    ended.then((why = 'ended') => reject(new AgentError('ERR_NETWORK', `the lab's process ${why}`)))
  })
}
