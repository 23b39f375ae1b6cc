import type { Test } from 'tap'
import type { RuleFindingId } from '#emulator/check/finding-ids.ts'
import { type CheckFinding, type CheckInput, type CheckScope, checkExport } from '#emulator/check/index.ts'
import { parseTenant } from '#emulator/tenant/index.ts'
import { imported, type Json } from '../tenant/graph.ts'

/** 2026-11-23. */
const now = Date.UTC(2026, 10, 23)

export function inputOf(documents: readonly Json[], tenant?: string): CheckInput {
  return {
    imported: imported(...documents),
    tenant: tenant === undefined ? undefined : parseTenant(Buffer.from(tenant), 'tenant.yaml'),
    now,
  }
}

export function checked(documents: readonly Json[], tenant?: string, scope?: CheckScope): readonly CheckFinding[] {
  return checkExport(inputOf(documents, tenant), scope).findings
}

/** A tenant of the corpus: what it says, and what is to be found in it of one kind. */
export interface CorpusRow {
  readonly name: string
  readonly documents: readonly Json[]
  /** YAML. */
  readonly tenant?: string
  readonly id: RuleFindingId
  /** Each by what it has to have; in that order. Empty: nothing of that kind is found. */
  readonly finds: readonly Partial<Record<keyof CheckFinding, unknown>>[]
}

/** Each row is a test; what is found of other kinds is not looked at. */
export function corpus(t: Test, rows: readonly CorpusRow[]): void {
  for (const { name, documents, tenant, id, finds } of rows) {
    t.test(`${id}: ${name}`, async (t) => {
      const found = checked(documents, tenant).filter((finding) => finding.id === id)
      t.equal(found.length, finds.length, 'as many as expected')
      for (const [i, expected] of finds.entries()) t.match(found[i], expected)
      for (const { message, source } of found) t.ok(message && source, 'it says why, and where that is from')
    })
  }
}
