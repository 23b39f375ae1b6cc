/** The process dies here. */
export class Crash extends Error {}

export interface CrashBudget {
  /** Steps until the crash; a call is two steps: before it takes effect, and after. */
  left: number
}

/**
 * The port, dying at the nth step: even n before the call takes effect, odd n after it and before its answer is known.
 * What a call returns is wrapped too when it has methods of its own (a KeyHandle).
 */
export function crashing<T extends object>(port: T, budget: CrashBudget): T {
  return new Proxy(port, {
    get(target, name) {
      const member = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return async (...args: unknown[]) => {
        step(budget)
        const value: unknown = await member.apply(target, args)
        step(budget)
        return hasMethods(value) ? crashing(value, budget) : value
      }
    },
  })
}

function step(budget: CrashBudget): void {
  if (budget.left-- === 0) throw new Crash('crash')
}

function hasMethods(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'sign' in value
}
