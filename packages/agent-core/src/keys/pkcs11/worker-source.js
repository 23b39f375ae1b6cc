// In a checkout the worker is TypeScript, and a thread of Node 20 starts from JavaScript alone.
import { register } from 'tsx/esm/api'

register({ tsconfig: false })
await import('./worker.ts')
