import { Worker } from 'node:worker_threads'
import { AgentError } from '../../errors.ts'
import type { Answer, Question, Requests, WorkerStart } from './worker.ts'

/** The way to the one thread that uses a PKCS#11 library in this process. */
export interface Channel {
  /** Fails with what the thread failed with; with `ERR_KEY_STORAGE_UNAVAILABLE` once the thread is gone. */
  ask<Name extends keyof Requests>(name: Name, ask: Requests[Name]['ask']): Promise<Requests[Name]['answer']>
  isOpen(): boolean
  /** The last one to release it finishes the library and ends the thread. */
  release(): Promise<void>
}

interface Thread {
  readonly worker: Worker
  readonly waiting: Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>
  users: number
  questions: number
  isOpen: boolean
}

const threads = new Map<string, Thread>()
const endings = new Map<string, Promise<void>>()
const leftOver = new Set<string>()

/** `entry` is what the thread runs. Default: the worker beside this file. */
export async function openChannel(module: string, entry: URL = workerEntry): Promise<Channel> {
  // A library that is being finished must not be initialised meanwhile.
  while (endings.has(module)) await endings.get(module)
  const thread = threads.get(module) ?? start(module, entry)
  thread.users += 1
  let isReleased = false
  return {
    ask: (name, ask) => question(thread, module, name, ask),
    isOpen: () => thread.isOpen,
    async release() {
      if (isReleased) return
      isReleased = true
      thread.users -= 1
      if (thread.users > 0 || !thread.isOpen) return
      const ended = end(thread, module).finally(() => endings.delete(module))
      endings.set(module, ended)
      await ended
    },
  }
}

const workerEntry = import.meta.url.endsWith('.ts')
  ? new URL('./worker-source.js', import.meta.url)
  : new URL('./worker.js', import.meta.url)

function start(module: string, entry: URL): Thread {
  const workerData: WorkerStart = { module, isLeftOver: leftOver.delete(module) }
  // Options that suit the program (--eval, --input-type) would keep the thread from starting.
  const thread: Thread = {
    worker: new Worker(entry, { workerData, execArgv: [] }),
    waiting: new Map(),
    users: 0,
    questions: 0,
    isOpen: true,
  }
  threads.set(module, thread)
  // An idle thread keeps no process alive; `question` holds it as long as an answer is due.
  thread.worker.unref()
  thread.worker.on('message', (answer: Answer) => settle(thread, answer))
  thread.worker.on('error', (cause) => crash(thread, module, cause))
  thread.worker.on('exit', () => crash(thread, module))
  return thread
}

function question<Name extends keyof Requests>(
  thread: Thread,
  module: string,
  name: Name,
  ask: Requests[Name]['ask'],
): Promise<Requests[Name]['answer']> {
  if (!thread.isOpen) return Promise.reject(gone(module))
  return new Promise((resolve, reject) => {
    thread.questions += 1
    const sent: Question<Name> = { id: thread.questions, name, ask }
    thread.waiting.set(sent.id, { resolve: resolve as (answer: unknown) => void, reject })
    thread.worker.ref()
    thread.worker.postMessage(sent)
  })
}

function settle({ waiting, worker }: Thread, answer: Answer): void {
  const asker = waiting.get(answer.id)
  waiting.delete(answer.id)
  if (waiting.size === 0) worker.unref()
  if ('failure' in answer) asker?.reject(new AgentError(answer.failure.code, answer.failure.message))
  else if ('bug' in answer) asker?.reject(new Error(`in the PKCS#11 worker: ${answer.bug}`))
  else asker?.resolve(answer.answer)
}

async function end(thread: Thread, module: string): Promise<void> {
  try {
    await question(thread, module, 'finish', {})
  } finally {
    thread.isOpen = false
    threads.delete(module)
    await thread.worker.terminate()
  }
}

/** Tells everyone who waits; the next to open the library starts a new thread. */
function crash(thread: Thread, module: string, cause?: unknown): void {
  if (!thread.isOpen) return
  thread.isOpen = false
  threads.delete(module)
  leftOver.add(module)
  for (const { reject } of thread.waiting.values()) reject(gone(module, cause))
  thread.waiting.clear()
}

function gone(module: string, cause?: unknown): AgentError {
  return new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', `the thread of the PKCS#11 library ${module} ended unexpectedly`, { cause })
}
