/**
 * Keeps one of each for all devices of the process, as long as one of them has it: thousands of them get the same certificates and profiles,
 * each in a reply of its own. `make` is called where nobody has what `key` stands for.
 */
export function sharing<Value extends object>(): (key: string, make: () => Value) => Value {
  const values = new Map<string, WeakRef<Value>>()
  const forgotten = new FinalizationRegistry((key: string) => {
    if (values.get(key)?.deref() === undefined) values.delete(key)
  })
  return (key, make) => {
    const known = values.get(key)?.deref()
    if (known) return known
    const value = make()
    values.set(key, new WeakRef(value))
    forgotten.register(value, key)
    return value
  }
}

/** The same list without room for more: what `flatMap` and `filter` return has place for sixteen, as long as it lives. */
export function exactly<Item>(list: readonly Item[]): Item[] {
  return list.slice()
}
