import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { clearVault, fileKeys, fileVault } from '#agent-core/keys/file-vault.ts'
import { keyFileOf, removeStoredKey, storedKeys } from '#agent-core/keys/stored-keys.ts'
import type { KeyVault } from '#agent-core/keys/vault.ts'
import { endings, FakeDisk } from '../fakes/disk.ts'

const folder = join('state', 'keys')
const secret = { key: Buffer.alloc(32, 7) }
const [kept, made] = [1, 2].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey) as [never, never]

/** Every label that is listed, each with a key that loads. */
async function usableKeys(t: Test, disk: FakeDisk): Promise<readonly string[]> {
  const vault = await fileVault(folder, { secret, disk })
  const labels = await vault.list()
  for (const label of labels) t.ok((await vault.load(label))?.equals(label === 'kept' ? kept : made), `${label} loads`)
  t.same(
    (await disk.list(folder))?.filter((name) => name.endsWith('.tmp')),
    [],
    'nothing is left half made',
  )
  return [...labels].sort()
}

interface Row {
  readonly prepare: (disk: FakeDisk) => Promise<KeyVault | undefined>
  readonly act: (disk: FakeDisk, vault: KeyVault | undefined) => Promise<unknown>
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly steps: number
}

async function withKeys(disk: FakeDisk, labels: readonly string[]): Promise<KeyVault> {
  const vault = await fileVault(folder, { secret, disk })
  for (const label of labels) await vault.store(label, label === 'kept' ? kept : made)
  return vault
}

const rows: [string, Row][] = [
  [
    'a folder is made',
    { prepare: async () => undefined, act: (disk) => fileVault(folder, { secret, disk }), before: [], after: [], steps: 7 },
  ],
  [
    'the first key is stored',
    {
      prepare: (disk) => withKeys(disk, []),
      act: async (_disk, vault) => vault?.store('made', made),
      before: [],
      after: ['made'],
      steps: 4,
    },
  ],
  [
    'another key is stored',
    {
      prepare: (disk) => withKeys(disk, ['kept']),
      act: async (_disk, vault) => vault?.store('made', made),
      before: ['kept'],
      after: ['kept', 'made'],
      steps: 4,
    },
  ],
  [
    'a key is removed',
    {
      prepare: (disk) => withKeys(disk, ['kept', 'made']),
      act: async (_disk, vault) => vault?.remove('made'),
      before: ['kept', 'made'],
      after: ['kept'],
      steps: 3,
    },
  ],
  [
    'a key is removed without the secret',
    {
      prepare: (disk) => withKeys(disk, ['kept', 'made']),
      act: async (disk) => removeStoredKey(folder, 'made', disk),
      before: ['kept', 'made'],
      after: ['kept'],
      steps: 3,
    },
  ],
]

for (const [name, { prepare, act, before, after, steps }] of rows) {
  for (const [ending, end] of endings) {
    await t.test(`${name}, ${ending}: the keys are as before or after, and each loads`, async (t) => {
      for (let done = 0; done <= steps; done++) {
        const disk = new FakeDisk()
        const vault = await prepare(disk)
        disk.stepsLeft = done
        const outcome = await act(disk, vault).then(
          () => 'resolved',
          (error) => error.code,
        )
        end(disk)
        const found = await usableKeys(t, disk)
        t.equal(outcome, done < steps ? 'ERR_STATE_IO' : 'resolved', `${done} steps`)
        const allowed = outcome === 'resolved' ? [after] : [before, after]
        t.ok(
          allowed.some((labels) => labels.join() === found.join()),
          `${done} steps: ${outcome}, then ${found.join() || 'no key'}`,
        )
      }
    })
  }
}

for (const [ending, end] of endings) {
  await t.test(`a vault is cleared, ${ending}: the keys that are left load, and once it resolved any secret makes a new one`, async (t) => {
    for (let done = 0; done <= 5; done++) {
      const disk = new FakeDisk()
      await withKeys(disk, ['kept', 'made'])
      disk.stepsLeft = done
      const outcome = await clearVault(folder, disk).then(
        () => 'resolved',
        (error) => error.code,
      )
      end(disk)
      t.equal(outcome, done < 5 ? 'ERR_STATE_IO' : 'resolved', `${done} steps`)
      if (done < 5) await usableKeys(t, disk)
      else t.same(await (await fileVault(folder, { secret: { key: Buffer.alloc(32, 8) }, disk })).list(), [])
    }
  })
}

await t.test('a disk that refuses for a while', async (t) => {
  for (let done = 0; done < 4; done++) {
    await t.test(`from step ${done} on: the label is free again, or its key is there`, async (t) => {
      const disk = new FakeDisk()
      const keys = await fileKeys(folder, { secret, disk })
      disk.stepsLeft = done
      await t.rejects(keys.generate({ algorithm: 'ec', curve: 'P-256' }, 'k'), { code: 'ERR_STATE_IO', message: /ENOSPC/ })
      disk.stepsLeft = Number.POSITIVE_INFINITY
      const opened = await keys.open('k')
      t.same(await keys.list(), opened ? ['k'] : [])
      const handle = opened ?? (await keys.generate({ algorithm: 'ec', curve: 'P-256' }, 'k'))
      disk.cutPower(true)
      t.same(
        (await storedKeys(folder, disk)).map(({ publicKey }) => Buffer.from(publicKey)),
        [handle.publicKey],
      )
    })
  }
  for (const step of ['write', 'sync', 'rename', 'syncFolder'] as const) {
    await t.test(`at one ${step}: the label is free again and nothing is left`, async (t) => {
      const disk = new FakeDisk()
      const vault = await fileVault(folder, { secret, disk })
      let refusals = 1
      const whole = disk[step].bind(disk) as (...args: unknown[]) => Promise<void>
      const refuse = async () => {
        throw Object.assign(new Error('busy'), { code: 'EBUSY' })
      }
      Object.assign(disk, { [step]: (...args: unknown[]) => (refusals-- > 0 ? refuse() : whole(...args)) })
      await t.rejects(vault.store('k', made), { code: 'ERR_STATE_IO', message: /EBUSY/ })
      t.same(await disk.list(folder), ['storage.json'])
      await vault.store('k', kept)
      t.ok((await vault.load('k'))?.equals(kept))
    })
  }
})

await t.test('a removal whose sync failed is finished by the next one', async (t) => {
  const disk = new FakeDisk()
  const vault = await withKeys(disk, ['made'])
  disk.stepsLeft = 2
  await t.rejects(vault.remove('made'), { code: 'ERR_STATE_IO' })
  disk.stepsLeft = Number.POSITIVE_INFINITY
  await vault.remove('made')
  disk.cutPower(false)
  t.same(await usableKeys(t, disk), [])
})

await t.test('a key that is found after a crash outlives the next one', async (t) => {
  const disk = new FakeDisk()
  const vault = await withKeys(disk, [])
  disk.stepsLeft = 3
  await t.rejects(vault.store('made', made), { code: 'ERR_STATE_IO' })
  disk.stepsLeft = Number.POSITIVE_INFINITY
  t.same(await usableKeys(t, disk), ['made'])
  disk.cutPower(false)
  t.same(await usableKeys(t, disk), ['made'])
})

await t.test('what a crash left of an unfinished key goes at the opening', async (t) => {
  const disk = new FakeDisk()
  await withKeys(disk, ['kept'])
  const leftover = join(folder, `${keyFileOf('made')}.tmp`)
  await disk.write(leftover, Buffer.from('half a key'))
  await disk.write(join(folder, 'notes.tmp'), Buffer.from('mine'))
  await fileVault(folder, { secret, disk })
  t.equal(await disk.read(leftover), undefined)
  t.same(await disk.read(join(folder, 'notes.tmp')), Buffer.from('mine'))
})
