import { writeSync } from 'node:fs'
import { systemClock } from '@certfleet/agent-core'
import { createLab, type Lab, type LabStore, lmdbLabStore, serveLab } from '@certfleet/emulator/lab'
import { policyDocument } from '../fakes/policy-document.ts'
import { type LabStart, type LabWord, registrationToken } from './kill-process.ts'

// The lab in a process that ends itself, without a word, at the nth step of its store: before, within and after each call.
const { folder, killAt = Number.POSITIVE_INFINITY } = JSON.parse(process.argv[2] as string) as LabStart
let steps = 0
let isCounting = false
const issues = { first: 0, last: 0 }

function step(call: string): void {
  if (!isCounting || steps++ !== killAt) return
  writeSync(1, call)
  process.kill(process.pid, 'SIGKILL')
}

function stepping(store: LabStore): LabStore {
  return {
    get(table, key) {
      step(`get ${table}`)
      return store.get(table, key)
    },
    list(table) {
      step(`list ${table}`)
      return store.list(table)
    },
    async transaction(work) {
      step('before a transaction')
      const result = await store.transaction((tx) => {
        const done = work({
          get(table, key) {
            step(`get ${table} in a transaction`)
            return tx.get(table, key)
          },
          put(table, key, value) {
            step(`put ${table}`)
            if (table === 'issued') issues.last = steps
            if (table === 'issued') issues.first ||= steps
            tx.put(table, key, value)
          },
          remove(table, key) {
            step(`remove ${table}`)
            tx.remove(table, key)
          },
        })
        step('before a commit')
        return done
      })
      step('after a commit')
      return result
    },
    close: store.close,
  }
}

const store = await lmdbLabStore(folder)
const lab: Lab = await createLab({
  store: stepping(store),
  clock: systemClock,
  registrationToken,
  policyFor: (deviceId) => policyDocument(deviceId, lab.rootCertificate),
})
const served = await serveLab(lab)
isCounting = true
process.on('message', () => process.send?.({ issues } satisfies LabWord))
process.on('disconnect', () => void served.close().then(store.close))
process.send?.({ url: served.url } satisfies LabWord)
