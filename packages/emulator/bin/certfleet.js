#!/usr/bin/env node
// In a checkout the sources are newer than any build: tsx runs them as they are. A packed install has only dist/.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const source = new URL('../src/cli.ts', import.meta.url)
if (existsSync(source)) {
  const { register } = await import('tsx/esm/api')
  register({ tsconfig: fileURLToPath(new URL('../../../tsconfig.source.json', import.meta.url)) })
  await import(source.href)
} else {
  await import('../dist/cli.js')
}
