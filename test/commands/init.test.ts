import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type JsonSchema, loadScenario, parseScenario, scenarioJsonSchema } from '@certfleet/emulator/fleet'
import t from 'tap'
import { parse } from 'yaml'
import { scenarioTemplate, templateParts } from '#emulator/scenario/template.ts'
import { violations } from '../tooling/json-schema.ts'
import { root } from '../tooling/root.ts'
import { command } from './terminal.ts'

const schema = scenarioJsonSchema()

t.test('init writes a scenario that is valid as it stands', async (t) => {
  const folder = t.testdir()
  const file = join(folder, 'new.yaml')
  t.match(await command(['init', file]), { exitCode: 0, stdout: `${file}: written; try: certfleet run ${file}\n`, stderr: '' })
  t.match(await loadScenario(file), { devices: { ios: 5 }, thresholds: [{ text: 'enrollment.p99 < 10s' }, {}, {}] })
  const text = readFileSync(file, 'utf8')
  t.match(
    text,
    /^# yaml-language-server: \$schema=\/.*\/packages\/emulator\/schema\/scenario\.schema\.json\n/,
    'by where it is, from elsewhere',
  )
  t.strictSame(violations(parse(text), schema), [])
  t.match(await command(['init', file]), { exitCode: 2, stderr: /new\.yaml exists and is not overwritten/ })
  t.equal(readFileSync(file, 'utf8'), text)
})

t.test('init prints', async (t) => {
  for (const argv of [['-'], ['--stdout'], ['--stdout', '-']]) {
    const { exitCode, stdout, stderr } = await command(['init', ...argv])
    t.strictSame({ exitCode, stderr }, { exitCode: 0, stderr: '' })
    t.match(
      stdout,
      /^# yaml-language-server: \$schema=packages\/emulator\/schema\/scenario\.schema\.json\n/,
      'relative, from above the package',
    )
    t.equal(stdout.split('\n').slice(1).join('\n'), scenarioTemplate('').split('\n').slice(1).join('\n'))
  }
  const printed = await command(['init', '--schema'])
  t.strictSame(JSON.parse(printed.stdout), schema)
  t.equal(printed.stdout, readFileSync(join(root, 'packages/emulator/schema/scenario.schema.json'), 'utf8'))
  t.match(await command(['init', 'a.yaml', '--schema']), { exitCode: 2, stderr: /a\.yaml: is not written beside/ })
})

t.test('every key is in it, and every line that is commented out is valid', async (t) => {
  const parts = templateParts()
  const text = scenarioTemplate('x')
  t.strictSame(
    parts.map(({ key }) => key),
    Object.keys(schema.properties ?? {}),
  )
  const active = parts.flatMap((part) => (part.active === undefined ? [] : [part]))
  for (const { key, alternatives, insteadOf, beside } of parts) {
    t.ok(alternatives.length > 0, `${key} is shown`)
    for (const line of alternatives) {
      t.ok(text.includes(`\n# ${line}\n`), line)
      const others = active.filter((other) => other.key !== key && !insteadOf.includes(other.key)).map((other) => other.active)
      const scenario = [line, ...others, ...beside].join('\n')
      t.ok(key in parseScenario(scenario, 's.yaml'), line)
      t.strictSame(violations(parse(scenario), schema), [], `${line}, by the schema`)
      for (const other of insteadOf) t.throws(() => parseScenario([scenario, partOf(other)].join('\n'), 's.yaml'), { name: 'InputError' })
      if (beside.length > 0) t.throws(() => parseScenario([line, ...others].join('\n'), 's.yaml'), { name: 'InputError' }, `${line} alone`)
    }
  }
  function partOf(key: string): string {
    return parts.find((part) => part.key === key)?.active ?? ''
  }
})

t.test('every example loads, and is valid by the schema', async (t) => {
  const files = ['examples', 'examples/virtual'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => join(root, folder, name)),
  )
  t.ok(files.length >= 11, `${files.length} examples`)
  for (const file of files) {
    await t.resolves(loadScenario(file), file)
    t.strictSame(violations(parse(readFileSync(file, 'utf8')) ?? {}, schema), [], file)
  }
})

t.test('the schema refuses what a scenario cannot hold', async (t) => {
  const rows: [string, string][] = [
    ['an unknown key', 'phase: 2'],
    ['an unknown key inside', 'lab: { keys: 1 }'],
    ['text for a number', 'concurrency: many'],
    ['a number too large', 'concurrency: 1025'],
    ['a fraction', 'concurrency: 1.5'],
    ['a rate of nothing', 'arrival: { rate: 0 }'],
    ['a length without a unit', "duration: '10'"],
    ['no shape of devices', 'devices: { total: 3 }'],
    ['no kinds', 'devices: []'],
    ['a URL of another scheme', 'target: { policy: { url: ldap://a, token-file: t } }'],
    ['an empty path', "profiles: ''"],
    ['an unknown storage', 'ksp: hsm'],
    ['a threshold without a comparison', 'thresholds: [rate]'],
    ['an unknown event', 'virtual: { events: [{ kind: flood, day: 1 }] }'],
    ['a list', '[]'],
  ]
  for (const [name, text] of rows) {
    t.not(violations(parse(text), schema).length, 0, name)
    t.throws(() => parseScenario(text, 's.yaml'), { name: 'InputError' }, `${name}, as the reader does`)
  }
})

t.test('defaults and examples are valid where they stand', async (t) => {
  const walk = (part: JsonSchema, path: string) => {
    for (const value of [...('default' in part ? [part.default] : []), ...(part.examples ?? [])])
      t.strictSame(violations(value, part, schema, path), [], `${path}: ${JSON.stringify(value)}`)
    for (const [key, inner] of Object.entries({ ...part.properties, ...part.$defs })) walk(inner, `${path}.${key}`)
    for (const branch of [...(part.anyOf ?? []), ...(part.oneOf ?? []), ...(part.items ? [part.items] : [])]) walk(branch, path)
  }
  walk(schema, '$')
})
