import { allEnrolmentRows } from './enrollment-rows.ts'
import { printRows } from './row.ts'

printRows(await allEnrolmentRows(), process.argv.includes('--json'))
