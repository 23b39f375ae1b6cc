import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { endsAs, run, serve } from '../tooling/process.ts'
import { root } from '../tooling/root.ts'

// Slow, and it asks the registry: `npm run test:package`, not part of `npm test`.
t.setTimeout(300_000)

// Outside the checkout: inside it, Node would find the workspace's own packages.
const folder = mkdtempSync(join(tmpdir(), 'certfleet-package-'))
t.teardown(() => rmSync(folder, { recursive: true }))

const consumer = `import { AgentError, createAgent, type DevicePolicy } from '@certfleet/agent-core'
import * as cms from '@certfleet/agent-core/cms'
import { readDer, type Tlv } from '@certfleet/agent-core/der'
import * as pki from '@certfleet/agent-core/pki'
import * as messages from '@certfleet/agent-core/scep/messages'
import { systemClock } from '@certfleet/agent-core/system'
import * as emulator from '@certfleet/emulator'
import { facts, type PlatformName } from '@certfleet/platforms'
import { checks } from '@certfleet/platforms/conformance'

const tlv: Tlv = readDer(Uint8Array.of(5, 0))
const platform: PlatformName = 'windows'
export const revisionOf = (policy: DevicePolicy): number => policy.revision
if (tlv.tag !== 5 || systemClock.now() < 0) throw new AgentError('ERR_DER_MALFORMED', 'not the null value')
// @ts-expect-error The types are the real ones: text is not bytes.
if (facts.length < 0) readDer('0500')
console.log([createAgent, cms, pki, messages, emulator, checks].every((part) => part !== undefined), platform)
`

const tsconfig = {
  compilerOptions: {
    target: 'ES2023',
    lib: ['ES2023'],
    module: 'nodenext',
    strict: true,
    skipLibCheck: false,
    types: ['node'],
    outDir: 'built',
  },
  include: ['*.ts'],
}

t.test('the packed packages install in an empty folder', async (t) => {
  endsAs(t, await run('npm', ['pack', '--workspaces', '--pack-destination', folder, '--silent'], { cwd: root }), { exitCode: 0 })
  const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'))
  t.equal(tarballs.length, 3)

  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  const compilers = ['typescript', '@types/node'].map((name) => `${name}@${installedVersion(name)}`)
  endsAs(t, await run('npm', ['install', ...tarballs.map((name) => `./${name}`), ...compilers], { cwd: folder }), { exitCode: 0 })
})

t.test('a consumer of every entry point and the embedding example type-check, library types included', async (t) => {
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig))
  writeFileSync(join(folder, 'consumer.ts'), consumer)
  cpSync(join(root, 'examples/embed-agent.ts'), join(folder, 'embed-agent.ts'))
  endsAs(t, await run(process.execPath, ['node_modules/typescript/lib/tsc.js', '-p', '.'], { cwd: folder }), { exitCode: 0 })
  endsAs(t, await run(process.execPath, ['built/consumer.js'], { cwd: folder }), { exitCode: 0, output: 'true windows\n' })
})

t.test('the embedding example enrols against the packed lab', async (t) => {
  const { line } = await serve(t, join(folder, 'node_modules/.bin/certfleet'), ['lab', '--port', '0'], /^\{/)
  const { policyUrl, registrationToken } = JSON.parse(line) as { policyUrl: string; registrationToken: string }
  endsAs(t, await run(process.execPath, ['built/embed-agent.js', policyUrl, registrationToken], { cwd: folder }), {
    exitCode: 0,
    output: / installed [0-9a-f]/,
  })
})

t.test('what only a queue needs is asked for where one is', async (t) => {
  writeFileSync(join(folder, 'queue.key'), `${'0'.repeat(64)}\n`, { mode: 0o600 })
  const worker = ['worker', '--queue', 'redis://127.0.0.1:1', '--queue-key', join(folder, 'queue.key')]
  endsAs(t, await run(join(folder, 'node_modules/.bin/certfleet'), worker), {
    exitCode: 2,
    output: 'certfleet: a queue needs two packages that are not installed: npm install bullmq ioredis\n',
  })
})

function installedVersion(name: string): string {
  return (JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version
}
