import type { Prompt } from './io.ts'

/** What a prompt needs of stdin: a terminal. */
export interface TerminalInput extends NodeJS.EventEmitter {
  setRawMode(isRaw: boolean): unknown
  setEncoding(encoding: 'utf8'): unknown
  resume(): unknown
  pause(): unknown
}

export interface PromptSurroundings {
  readonly input: TerminalInput
  write(text: string): void
  /** What Ctrl+C does elsewhere: in raw mode the terminal sends it as a character. */
  interrupt(): void
}

const ctrlC = '\u0003'
const ctrlD = '\u0004'
const ctrlU = '\u0015'
const escapeKey = '\u001b'

/** One line from the terminal; Ctrl+D on it gives what was typed so far. `isHidden` keeps it off the screen. */
export function terminalPrompt({ input, write, interrupt }: PromptSurroundings, isHidden: boolean): Prompt {
  return (question, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      let line = ''
      const end = (settle: () => void) => {
        input.off('data', onData)
        signal.removeEventListener('abort', onAbort)
        if (isHidden) input.setRawMode(false)
        input.pause()
        if (isHidden) write('\n')
        settle()
      }
      const onAbort = () => end(() => reject(signal.reason))
      const onData = (typed: string) => {
        // An arrow key, not a secret.
        if (isHidden && typed.startsWith(escapeKey)) return
        for (const character of typed) {
          if (character === ctrlC) return interrupt()
          if (character === '\r' || character === '\n' || character === ctrlD) return end(() => resolve(line))
          line = edited(line, character)
        }
      }
      signal.addEventListener('abort', onAbort, { once: true })
      write(question)
      input.setEncoding('utf8')
      if (isHidden) input.setRawMode(true)
      input.on('data', onData)
      input.resume()
    })
}

/** Backspace and Ctrl+U as a terminal has them; other control characters are nothing. */
function edited(line: string, character: string): string {
  if (character === '\u007f' || character === '\b') return [...line].slice(0, -1).join('')
  if (character === ctrlU) return ''
  return character < ' ' ? line : line + character
}
