import { EventEmitter } from 'node:events'
import t from 'tap'
import { terminalPrompt } from '#emulator/commands/prompt.ts'

/** A terminal's input that notes how it is set. */
function fakeInput() {
  const input = new EventEmitter()
  const calls: string[] = []
  return Object.assign(input, {
    calls,
    setRawMode: (isRaw: boolean) => void calls.push(isRaw ? 'raw' : 'cooked'),
    setEncoding: () => undefined,
    resume: () => void calls.push('resume'),
    pause: () => void calls.push('pause'),
    type: (...pieces: string[]) => {
      for (const piece of pieces) input.emit('data', piece)
    },
  })
}

function asking(isHidden: boolean, signal: AbortSignal = new AbortController().signal) {
  const input = fakeInput()
  const facts = { shown: '', interrupts: 0 }
  const write = (text: string) => {
    facts.shown += text
  }
  const interrupt = () => {
    facts.interrupts++
  }
  return { input, facts, answer: terminalPrompt({ input, write, interrupt }, isHidden)('PIN: ', signal) }
}

t.test('what is typed at a hidden prompt', async (t) => {
  const rows: [string, string[], string][] = [
    ['one line', ['4711\r'], '4711'],
    ['one character at a time', ['4', '7', '1', '1', '\n'], '4711'],
    ['what comes behind the line', ['4711\rmore'], '4711'],
    ['nothing', ['\r'], ''],
    ['backspace', ['47\u007f\u007f\u007f11\b2\r'], '12'],
    ['Ctrl+U', ['wrong', '\u0015', '4711\r'], '4711'],
    ['an arrow key', ['47', '\u001b[D', '11\r'], '4711'],
    ['other control characters', ['4\u0000\t7\r'], '47'],
    ['the end of the input', ['47\u0004'], '47'],
    ['beyond ASCII', ['pä😀\u007fß\r'], 'päß'],
  ]
  for (const [name, typed, expected] of rows) {
    const { input, facts, answer } = asking(true)
    input.type(...typed)
    t.equal(await answer, expected, name)
    t.equal(facts.shown, 'PIN: \n', `${name}: nothing of it is shown`)
    t.strictSame(input.calls, ['raw', 'resume', 'cooked', 'pause'], `${name}: the terminal is as before`)
    t.equal(input.listenerCount('data'), 0)
  }
})

t.test('what may be seen is left to the terminal', async (t) => {
  const { input, facts, answer } = asking(false)
  input.type('yes\n')
  t.equal(await answer, 'yes')
  t.equal(facts.shown, 'PIN: ')
  t.strictSame(input.calls, ['resume', 'pause'])
})

t.test('Ctrl+C interrupts, and the signal ends the prompt', async (t) => {
  const abort = new AbortController()
  const { input, facts, answer } = asking(true, abort.signal)
  input.type('47\u0003')
  t.equal(facts.interrupts, 1)
  const reason = new Error('interrupted')
  abort.abort(reason)
  await t.rejects(answer, reason)
  t.strictSame(input.calls, ['raw', 'resume', 'cooked', 'pause'], 'the terminal is as before')
  await t.rejects(asking(true, abort.signal).answer, reason, 'a signal that is aborted already')
})
