import { factsPage } from '@certfleet/platforms'
import { checkPage } from './check-page.ts'
import { conformancePage } from './conformance-page.ts'
import { errorsPage } from './errors-page.ts'
import { keyStoragePage } from './key-storage-page.ts'
import { lifecyclePage } from './lifecycle-page.ts'
import { osErrorsPage } from './os-errors-page.ts'
import { resultsPage, resultsSchemaFile } from './results-page.ts'
import { scenarioPage, scenarioSchemaFile } from './scenario-page.ts'

/** The generated pages by their path from the root; `npm run docs` writes them, and a test holds them current. */
export const pages: Readonly<Record<string, () => string>> = {
  'docs/check.md': checkPage,
  'docs/conformance.md': conformancePage,
  'docs/errors.md': errorsPage,
  'docs/key-storage.md': keyStoragePage,
  'docs/lifecycle.md': lifecyclePage,
  'docs/os-errors.md': osErrorsPage,
  'docs/platforms.md': factsPage,
  'docs/results.md': resultsPage,
  'docs/scenario.md': scenarioPage,
  'packages/emulator/schema/results.schema.json': resultsSchemaFile,
  'packages/emulator/schema/scenario.schema.json': scenarioSchemaFile,
}
