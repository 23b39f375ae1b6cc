import t from 'tap'
import * as rules from './rules.ts'
import { readModule } from './source.ts'

const core = 'packages/agent-core/src'
// Put together here, so that this file does not hold what it looks for.
const work = ['', 'work'].join('/')
const emulator = 'packages/emulator/src'
const platforms = 'packages/platforms/src'

interface Rows {
  readonly judge: (file: string, text: string) => rules.Findings
  /** File and text. */
  readonly passes: readonly (readonly [string, string])[]
  /** File, text, and what the finding says. */
  readonly fails: readonly (readonly [string, string, string])[]
}

/** Sources that each rule must pass, and sources that it must not. */
const rows: Record<keyof typeof rules, Rows> = {
  packageArrows: {
    judge: (file, text) => rules.packageArrows([readModule(file, text)]),
    passes: [
      [
        `${emulator}/fleet/device.ts`,
        "import { iosFacts } from '@certfleet/platforms'\nimport { readDer } from '@certfleet/agent-core/der'",
      ],
      [`${platforms}/ios/adapter.ts`, "import type { PlatformAdapter } from '@certfleet/agent-core'\nimport { x } from '../fact.ts'"],
    ],
    fails: [
      [`${core}/agent.ts`, "import type { Fact } from '@certfleet/platforms'", 'imports @certfleet/platforms'],
      [`${platforms}/ios/adapter.ts`, "export { run } from '@certfleet/emulator'", 'imports @certfleet/emulator'],
      [`${emulator}/cli.ts`, "import { reconcile } from '../../agent-core/src/reconcile.ts'", 'imports ../../agent-core/src/reconcile.ts'],
      [`${core}/agent.ts`, "const p = await import('../../platforms/src/index.ts')", 'imports ../../platforms/src/index.ts'],
    ],
  },
  planImportsTypesOnly: {
    judge: (file, text) => rules.planImportsTypesOnly([readModule(file, text)]),
    passes: [
      [`${core}/plan/plan.ts`, "import type { Policy } from '../types.ts'\nimport { judge } from './rules.ts'"],
      [`${core}/reconcile.ts`, "import { AgentError } from './errors.ts'"],
    ],
    fails: [
      [`${core}/plan/plan.ts`, "import { AgentError } from '../errors.ts'", 'imports packages/agent-core/src/errors.ts'],
      [`${core}/plan/rules.ts`, "import { type Policy } from '../types.ts'", 'imports packages/agent-core/src/types.ts'],
      [`${core}/plan/rules.ts`, "import { createHash } from 'node:crypto'", 'imports node:crypto'],
    ],
  },
  labKnowsNoAgent: {
    judge: (file, text) => rules.labKnowsNoAgent([readModule(file, text), ...labWorld], labEntryPoints),
    passes: [
      [
        `${emulator}/lab/ndes.ts`,
        "import { AgentError } from '@certfleet/agent-core'\nimport { parsePkiMessage } from '@certfleet/agent-core/scep/messages'",
      ],
      [`${emulator}/fleet/device.ts`, "import { reconcile } from '@certfleet/agent-core'"],
    ],
    fails: [
      [`${emulator}/lab/ndes.ts`, "import { reconcile } from '@certfleet/agent-core'", 'imports packages/agent-core/src/reconcile.ts'],
      [`${emulator}/lab/ndes.ts`, "import { decide } from '@certfleet/agent-core'", 'imports packages/agent-core/src/plan/plan.ts'],
      [
        `${emulator}/lab/ndes.ts`,
        "import type { Reason } from '@certfleet/agent-core'",
        'imports types from packages/agent-core/src/plan/plan.ts',
      ],
      [`${emulator}/lab/ndes.ts`, "import * as core from '@certfleet/agent-core'", 'imports packages/agent-core/src/reconcile.ts'],
      [
        `${emulator}/lab/ndes.ts`,
        "export * from '../../../agent-core/src/scep/protocol.ts'",
        'imports packages/agent-core/src/scep/protocol.ts',
      ],
    ],
  },
  platformsApart: {
    judge: (file, text) => rules.platformsApart([readModule(file, text)]),
    passes: [
      [`${platforms}/ios/adapter.ts`, "import { scepClient } from '../apple/scep.ts'\nimport { facts } from './facts.ts'"],
      [`${platforms}/index.ts`, "export { iosFacts } from './ios/facts.ts'\nexport { androidFacts } from './android/facts.ts'"],
    ],
    fails: [
      [`${platforms}/ios/adapter.ts`, "import { facts } from '../macos/facts.ts'", 'imports packages/platforms/src/macos/facts.ts'],
      [
        `${platforms}/windows/facts.ts`,
        "import type { Fact } from '../android.ts'",
        'imports types from packages/platforms/src/android.ts',
      ],
      [`${platforms}/apple/scep.ts`, "import { facts } from '../ios/facts.ts'", 'imports packages/platforms/src/ios/facts.ts'],
    ],
  },
  coreReadsNoHost: {
    judge: (file, text) => rules.coreReadsNoHost([readModule(file, text)]),
    passes: [
      [`${core}/state/file.ts`, "import { open } from 'node:fs/promises'"],
      [`${core}/policy/cache.ts`, "import { open } from 'node:fs/promises'"],
      [`${core}/report.ts`, "import type { Stats } from 'node:fs'\nconst a = device.platform"],
      [`${emulator}/cli.ts`, "import { readFileSync } from 'node:fs'\nprocess.platform"],
    ],
    fails: [
      [`${core}/policy/document.ts`, "import { readFileSync } from 'node:fs'", 'imports node:fs'],
      [`${core}/keys/software.ts`, "import * as fs from 'fs/promises'", 'imports fs/promises'],
      [`${core}/state/file.ts`, 'const windows = process.platform', ':1 reads process.platform'],
      [`${core}/state/file.ts`, 'const windows = globalThis.process.platform', ':1 reads process.platform'],
    ],
  },
  coreNamesNoPlatform: {
    judge: (file, text) => rules.coreNamesNoPlatform([readModule(file, text)]),
    passes: [
      [`${core}/report.ts`, "// ios and 'android'\nconst message = 'ios rejects it'"],
      [`${platforms}/ios/facts.ts`, "const id = 'ios'"],
    ],
    fails: [
      [`${core}/report.ts`, "\nif (platform.id === 'ios') ask()", ':2 names the platform ios'],
      [`${core}/types.ts`, "export type Platform = 'windows' | string", ':1 names the platform windows'],
    ],
  },
  hostClockOnlyInSystem: {
    judge: (file, text) => rules.hostClockOnlyInSystem([readModule(file, text)]),
    passes: [
      [`${core}/system.ts`, 'export const clock = { now: () => Date.now() }\nsetTimeout(f, 1)'],
      [`${core}/plan/plan.ts`, "// Date.now()\nconst text = 'setTimeout(1)'\nconst date = new Date(now)\nconst { now } = clock"],
      [`${core}/agent.ts`, 'await policySource.fetch(signal)\nclock.now()\nconst source = { async fetch() {} }\nDate.UTC(2026)'],
      [`${core}/ports.ts`, 'export interface PolicySource { fetch(signal: AbortSignal): Promise<Policy> }'],
      [`${core}/transport/undici.ts`, "import { fetch } from 'undici'\nawait fetch(url)"],
      [`${emulator}/fleet/pool.ts`, 'class Pool { fetch = 1 }'],
    ],
    fails: [
      [`${core}/agent.ts`, 'const now = Date.now()', ':1 uses Date.now'],
      [`${core}/agent.ts`, 'const clock = Date.now', ':1 uses Date.now'],
      [`${emulator}/cli.ts`, 'const started = performance.now()', ':1 uses performance.now'],
      [`${emulator}/cli.ts`, 'const n = globalThis.Math.random()', ':1 uses Math.random'],
      [`${platforms}/facts.ts`, 'const signal = AbortSignal.timeout(5)', ':1 uses AbortSignal.timeout'],
      [`${core}/agent.ts`, 'const now = new Date()', ':1 reads the time with Date'],
      [`${core}/agent.ts`, 'const now = Date()', ':1 reads the time with Date'],
      [`${core}/agent.ts`, '\n\nsetTimeout(f, 1)', ':3 uses setTimeout'],
      [`${core}/agent.ts`, 'const later = promisify(setInterval)', ':1 uses setInterval'],
      [`${core}/agent.ts`, 'await fetch(url)', ':1 uses fetch'],
      [`${core}/agent.ts`, 'await globalThis.fetch(url)', ':1 uses fetch'],
      [`${core}/agent.ts`, 'const transport = { fetch }', ':1 uses fetch'],
      [`${core}/agent.ts`, "import { setTimeout as sleep } from 'node:timers/promises'", 'imports node:timers/promises'],
      [`${emulator}/cli.ts`, "import { performance } from 'node:perf_hooks'", 'imports node:perf_hooks'],
    ],
  },
  noDeadFiles: {
    judge: (file, text) => rules.noDeadFiles([readModule(file, text), ...deadWorld], [`${emulator}/index.ts`]),
    passes: [[`${emulator}/index.ts`, "export { a } from './a.ts'"]],
    fails: [[`${emulator}/index.ts`, "import { x } from '@certfleet/platforms'", 'a.ts is reached from no entry point']],
  },
  noLongFiles: {
    judge: (file, text) => rules.noLongFiles([readModule(file, text)], 2, new Map([[`${core}/long.ts`, { lines: 3, reason: 'a table' }]])),
    passes: [
      [`${core}/a.ts`, '1\n2\n'],
      [`${core}/long.ts`, '1\n2\n3\n'],
    ],
    fails: [
      [`${core}/a.ts`, '1\n2\n3\n', 'has 3 lines, 2 at most'],
      [`${core}/long.ts`, '1\n2\n3\n4\n', 'has 4 lines, 3 at most'],
    ],
  },
  noMachineTraces: {
    judge: rules.noMachineTraces,
    passes: [['README.md', `see https://example.org${work}/x, .${work}/y and docs/home/z`]],
    fails: [
      ['README.md', `one\nrun ${work}/main`, 'README.md:2 '],
      ['a.json', `"resolved": "${'http'}s://x"`, 'a.json:1'],
      ['a.sh', `--registry https://registry${'.'}npmjs.org`, 'a.sh:1'],
    ],
  },
}

const labEntryPoints = new Map([['@certfleet/agent-core', `${core}/index.ts`]])
const labWorld = [
  readModule(
    `${core}/index.ts`,
    "export { AgentError } from './errors.ts'\nexport { reconcile } from './reconcile.ts'\nexport { planActions as decide, type Reason } from './plan/plan.ts'",
  ),
]
const deadWorld = [
  readModule(`${emulator}/a.ts`, "import type { B } from './b.ts'\nnew Worker(new URL('./worker.ts', import.meta.url))"),
  readModule(`${emulator}/b.ts`, 'export type B = 1'),
  readModule(`${emulator}/worker.ts`, ''),
]

for (const [name, { judge, passes, fails }] of Object.entries(rows)) {
  t.test(name, async (t) => {
    for (const [file, text] of passes) t.strictSame(judge(file, text), [], `passes ${file}: ${text}`)
    for (const [file, text, finding] of fails) t.match(judge(file, text).join('\n'), finding, `fails ${file}: ${text}`)
  })
}
