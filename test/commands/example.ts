import { join } from 'node:path'
import { root } from '../tooling/root.ts'

/** The Graph JSON of the example tenant. */
export const exampleProfiles: string = join(root, 'packages/emulator/examples/contoso/graph')

/** The same with a second certificate for Windows machines. */
export const exampleExport: string = join(root, 'packages/emulator/examples/contoso')
