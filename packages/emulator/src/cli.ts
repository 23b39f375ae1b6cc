import { systemClock } from '@certfleet/agent-core/system'
import { runCommandLine } from './commands/program.ts'
import { terminalPrompt } from './commands/prompt.ts'

const signalPairMs = 1_000

// Whoever read the output has left: there is nobody to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(1)
})

/** Questions go to stderr: stdout is for results. */
const isAttended = process.stdin.isTTY === true && process.stderr.isTTY === true
const promptBy = (isHidden: boolean) =>
  terminalPrompt(
    {
      input: process.stdin,
      write: (text) => void process.stderr.write(text),
      interrupt: () => void process.kill(process.pid, 'SIGINT'),
    },
    isHidden,
  )

process.exitCode = await runCommandLine(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  errIsTerminal: process.stderr.isTTY === true,
  size: () => ({ columns: process.stderr.columns, rows: process.stderr.rows }),
  env: process.env,
  clock: systemClock,
  ...(isAttended && { promptSecret: promptBy(true), promptLine: promptBy(false) }),
  onInterrupt(listener) {
    let firstAt: number | undefined
    const onSignal = () => {
      const now = systemClock.now()
      if (firstAt === undefined) listener()
      firstAt ??= now
      // npm passes on a Ctrl+C that the terminal sent to everybody: only a later one is impatience.
      if (now - firstAt > signalPairMs) process.exit(130)
    }
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
    return () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  },
})
