import { AgentError } from '../../errors.ts'
import { CKF, type Cryptoki } from './cryptoki.ts'
import { Refusal, unlessRefused, withRefusals } from './refusal.ts'

/** A PKCS#11 library, initialised in this process. */
export interface Module {
  readonly cryptoki: Cryptoki
  /** Initialises it anew, where it is not the embedder's: what it held on to, and every session, is gone. */
  restart(): void
  /** How often it was started: a session of an earlier start is none, and its handle may be somebody else's by now. */
  starts(): number
  finish(): void
}

/** Undeclared on purpose: the package is an optional peer, and the types of it that are used stand in `cryptoki.ts`. */
const bindings: string = 'pkcs11js'

/** Missing package, missing library, library without its hardware: `ERR_KEY_STORAGE_UNAVAILABLE`. */
export async function loadModule(path: string, isLeftOver: boolean): Promise<Module> {
  const { PKCS11 } = await importBindings()
  const library = new PKCS11()
  try {
    library.load(path)
  } catch (cause) {
    throw new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', `the PKCS#11 library ${path} cannot be loaded`, { cause })
  }
  return initialize(withRefusals(library), path, isLeftOver)
}

async function importBindings(): Promise<{ PKCS11: new () => Cryptoki }> {
  try {
    const imported = (await import(bindings)) as { default: { PKCS11: new () => Cryptoki } }
    return imported.default
  } catch (cause) {
    const advice = 'npm install pkcs11js@2, and see that its native part was built'
    throw new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', `PKCS#11 needs the npm package pkcs11js: ${advice}`, { cause })
  }
}

/** The library is there once a process: where the embedder uses it too, it is the embedder's to finish. */
export function initialize(cryptoki: Cryptoki, path: string, isLeftOver: boolean): Module {
  let isOurs = isLeftOver
  let starts = 0

  function restart(): void {
    try {
      if (isOurs) unlessRefused(() => cryptoki.C_Finalize())
      isOurs = initialised(cryptoki)
      if (isOurs) starts += 1
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      // What has worked before may come back by itself.
      const code = starts === 0 ? 'ERR_KEY_STORAGE_UNAVAILABLE' : 'ERR_KEY_STORAGE_BUSY'
      throw new AgentError(code, `the PKCS#11 library ${path} cannot be used: ${error.message}`, { cause: error })
    }
  }

  restart()
  return {
    cryptoki,
    restart,
    starts: () => starts,
    finish() {
      if (isOurs) unlessRefused(() => cryptoki.C_Finalize())
    },
  }
}

/** False where it was already. */
function initialised(cryptoki: Cryptoki): boolean {
  try {
    cryptoki.C_Initialize({ flags: CKF.OS_LOCKING_OK })
    return true
  } catch (error) {
    if (error instanceof Refusal && error.returnValue === 'CKR_CRYPTOKI_ALREADY_INITIALIZED') return false
    throw error
  }
}
