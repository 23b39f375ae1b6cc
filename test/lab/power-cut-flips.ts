import { createHash } from 'node:crypto'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import { lmdbLabStore } from '@certfleet/emulator/lab'

/** One line a place: what a start with that octet flipped came to. A process of its own, since the engine may end it. */
const [template = '', folder = '', ...places] = process.argv.slice(2)
const original = await readFile(template)
for (const place of places) {
  const damaged = Buffer.from(original)
  if (Number(place) < damaged.length) damaged[Number(place)] = (damaged[Number(place)] as number) ^ 0xff
  const own = join(folder, place)
  await mkdir(own, { recursive: true })
  await writeFile(join(own, 'lab.mdb'), damaged.subarray(0, original.length))
  await copyFile(`${template}.seal`, join(own, 'lab.mdb.seal')).catch(() => {})
  console.log(`${place} ${await outcome(own)}`)
}

async function outcome(own: string): Promise<string> {
  try {
    const store = await lmdbLabStore(own)
    const tables = ['authority', 'registrations', 'credentials', 'issued', 'transactions', 'challenges', 'audit', 'outstanding'] as const
    const records = tables.map((table) => [...store.list(table)])
    await store.transaction((tx) => tx.put('credentials', 'after', 'x'))
    await store.close()
    return `works ${createHash('sha256').update(JSON.stringify(records)).digest('hex').slice(0, 16)}`
  } catch (error) {
    return error instanceof AgentError ? `${error.code} ${/lab\.mdb/.test(error.message)}` : `bug ${error}`
  }
}
