/** The process dies here. */
export class Crash extends Error {}

export interface CrashBudget {
  /** Steps until the crash; a call is two steps: before it takes effect, and after. */
  left: number
}

/** The port, dying at the nth step: even n before the call takes effect, odd n after it and before its answer is known. */
export function crashing<T extends object>(port: T, budget: CrashBudget): T {
  return stepping(port, '', () => {
    if (budget.left-- === 0) throw new Crash('crash')
  })
}

/**
 * The port, telling each step: before a call takes effect, and after it, before its answer is known.
 * What a call returns is wrapped too when it has methods of its own (a KeyHandle).
 */
export function stepping<T extends object>(port: T, name: string, onStep: (call: string) => void): T {
  return new Proxy(port, {
    get(target, member) {
      const value = Reflect.get(target, member)
      if (typeof value !== 'function') return value
      const call = `${name} ${String(member)}`
      return async (...args: unknown[]) => {
        onStep(`before ${call}`)
        const answer: unknown = await value.apply(target, args)
        onStep(`after ${call}`)
        return hasMethods(answer) ? stepping(answer, `${name} handle`, onStep) : answer
      }
    },
  })
}

function hasMethods(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'sign' in value
}
