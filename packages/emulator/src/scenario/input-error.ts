/**
 * What a person gave cannot be used: a file, an option, a folder. The message names it, says what was expected and what to do next.
 * The commands end with 2 on it.
 */
export class InputError extends Error {
  override readonly name: string = 'InputError'
}
