/** What a process did to its database and said over its sockets, in the order of a trace by `strace -f -y -xx`. */
export type TraceEvent =
  | { readonly kind: 'write'; readonly offset: number; readonly data: Buffer; readonly isSynchronous: boolean }
  | { readonly kind: 'sync' }
  | { readonly kind: 'answer'; readonly data: Buffer }

/** Throws for a call to the database that it cannot replay: a trace half understood proves nothing. */
export function readTrace(trace: string, databasePath: string): readonly TraceEvent[] {
  const database = `<${escaped(databasePath)}>`
  const fds: Fds = { synchronous: new Set(), positions: new Map() }
  const unfinished = new Map<string, TraceEvent>()
  return trace.split('\n').flatMap((line) => {
    const [, pid = '', call = '', rest = ''] = /^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$/.exec(line) ?? []
    if (line.includes('<... ')) {
      const event = unfinished.get(pid)
      unfinished.delete(pid)
      return event ? [event] : []
    }
    if (call === 'openat' && rest.includes('O_DSYNC') && rest.endsWith(database)) fds.synchronous.add(/ = (\d+)</.exec(rest)?.[1] ?? '')
    const event = eventOf(call, rest, database, fds)
    if (event === undefined) return []
    // An answer counts from its first octet, what is on disk from the end of the call.
    if (event.kind === 'answer' || !line.endsWith('<unfinished ...>')) return [event]
    unfinished.set(pid, event)
    return []
  })
}

/** Of the database, by number: which write at once, and where the others stand. */
interface Fds {
  readonly synchronous: Set<string>
  readonly positions: Map<string, number>
}

function eventOf(call: string, rest: string, database: string, { synchronous, positions }: Fds): TraceEvent | undefined {
  const [, fd = '', file = ''] = /^(\d+)(<[^>]*>)/.exec(rest) ?? []
  if (file === database) {
    if (call === 'fdatasync' || call === 'fsync') return { kind: 'sync' }
    if (call === 'lseek') {
      positions.set(fd, Number(/, (\d+), SEEK_SET/.exec(rest)?.[1]))
      return undefined
    }
    const isPositioned = call === 'pwrite64' || call === 'pwritev'
    const offset = isPositioned ? Number(/, (\d+)(?:\) += -?\d+| <unfinished \.\.\.>)/.exec(rest)?.[1]) : positions.get(fd)
    if (!(isPositioned || call === 'writev') || offset === undefined || Number.isNaN(offset))
      throw new Error(`${call} of the database cannot be replayed`)
    const data = octetsIn(rest)
    if (!isPositioned) positions.set(fd, offset + data.length)
    return { kind: 'write', offset, data, isSynchronous: synchronous.has(fd) }
  }
  const isSocket = file.startsWith(`<${escaped('socket:')}`) || file.startsWith(`<${escaped('TCP:')}`)
  return isSocket && /^(write|writev|sendto|sendmsg)$/.test(call) ? { kind: 'answer', data: octetsIn(rest) } : undefined
}

const escaped = (text: string) => [...Buffer.from(text)].map((octet) => `\\x${octet.toString(16).padStart(2, '0')}`).join('')

/** Of all strings among the arguments, in their order. */
function octetsIn(rest: string): Buffer {
  const strings = [...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)]
  if (strings.some(([, , cut]) => cut)) throw new Error('the trace is cut')
  return Buffer.from(strings.map(([, text = '']) => text.replaceAll('\\x', '')).join(''), 'hex')
}

/** Which of the writes that were not synced the disk has after all. */
export type Unsynced = 'dropped' | 'every-second-kept'

export interface Disk {
  apply(event: TraceEvent): void
  /** What is there when the power comes back. */
  afterCut(unsynced: Unsynced): Buffer
}

/** A disk that forgets what was not synced. */
export function forgetfulDisk(before: Buffer): Disk {
  let durable = before
  let pending: { offset: number; data: Buffer }[] = []
  return {
    apply(event) {
      if (event.kind === 'write' && event.isSynchronous) durable = written(durable, [event])
      else if (event.kind === 'write') pending.push(event)
      else if (event.kind === 'sync') {
        durable = written(durable, pending)
        pending = []
      }
    },
    afterCut: (unsynced) =>
      written(
        durable,
        pending.filter((_, index) => unsynced === 'every-second-kept' && index % 2 === 0),
      ),
  }
}

function written(image: Buffer, writes: readonly { offset: number; data: Buffer }[]): Buffer {
  const length = Math.max(image.length, ...writes.map(({ offset, data }) => offset + data.length))
  const copy = Buffer.concat([image], length)
  for (const { offset, data } of writes) data.copy(copy, offset)
  return copy
}
