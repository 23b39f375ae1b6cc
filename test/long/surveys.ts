import { runPart } from '../tooling/run-part.ts'

await runPart(import.meta.filename)
