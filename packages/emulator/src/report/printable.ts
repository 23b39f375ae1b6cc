/** Text from outside as a terminal may have it: what could steer the terminal or reorder the line is shown as its code; line ends stay. */
export function printable(text: string): string {
  return text.replace(/[^\n\P{C}]|[\u2028\u2029]/gu, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`)
}
