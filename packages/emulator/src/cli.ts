import { systemClock } from '@certfleet/agent-core/system'
import { runCommandLine } from './commands/program.ts'

const signalPairMs = 1_000

// Whoever read the output has left: there is nobody to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(1)
})

process.exitCode = await runCommandLine(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  errIsTerminal: process.stderr.isTTY === true,
  columns: process.stderr.columns,
  env: process.env,
  clock: systemClock,
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
