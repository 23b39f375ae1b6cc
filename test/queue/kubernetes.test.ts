import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { root } from '../tooling/root.ts'

const text = readFileSync(join(root, 'packages/emulator/examples/kubernetes-workers.yaml'), 'utf8')
const job = parse(text)
const { spec } = job.spec.template

t.test('the workers are an Indexed Job whose pods begin again', async (t) => {
  t.match(job, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    spec: { completionMode: 'Indexed', podReplacementPolicy: 'Failed', backoffLimitPerIndex: Number },
  })
  t.equal(job.spec.parallelism, job.spec.completions, 'all at once')
  t.equal(spec.restartPolicy, 'Never', 'the API wants it beside backoffLimitPerIndex')
  t.notOk('backoffLimit' in job.spec, 'no pod counts for another')
  t.ok(spec.terminationGracePeriodSeconds >= 60, 'longer than a worker takes to its checkpoint')
})

t.test('secrets come from a Secret, as files that no other user of the pod reads', async (t) => {
  const [worker] = spec.containers
  const args: string[] = worker.args
  const after = (option: string) => args[args.indexOf(option) + 1] as string
  t.match(spec.volumes, [{ secret: { secretName: 'certfleet-queue' } }])
  for (const option of ['--queue-password-file', '--queue-ca', '--queue-key']) t.match(after(option), /^\/secrets\//, option)
  t.match(after('--queue'), /^rediss:\/\/[^@]+$/, 'TLS, and no password in it')
  t.match(spec.initContainers[0].command.at(-1), 'umask 077')
  t.notOk('env' in worker)
  const made = /kubectl create secret generic (\S+) (.*)/.exec(text)
  t.equal(made?.[1], 'certfleet-queue')
  const files = [...(made?.[2] ?? '').matchAll(/--from-file=([^=]+)=/g)].map(([, name]) => `/secrets/${name}`)
  t.strictSame(files.sort(), ['--queue-ca', '--queue-key', '--queue-password-file'].map(after).sort(), 'each has its key in the Secret')
})

t.test('a pod is confined, and has what it needs', async (t) => {
  t.match(spec, { automountServiceAccountToken: false, securityContext: { runAsNonRoot: true } })
  for (const container of [...spec.initContainers, ...spec.containers]) {
    const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = container.securityContext
    t.strictSame([allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities], [false, true, { drop: ['ALL'] }], container.name)
    t.ok(container.resources.requests.cpu && container.resources.requests.memory && container.resources.limits.memory, container.name)
    for (const { name } of container.volumeMounts)
      t.ok(
        spec.volumes.some((volume: { name: string }) => volume.name === name),
        name,
      )
  }
  const [{ args, resources }] = spec.containers
  t.equal(resources.requests.cpu, args[args.indexOf('--workers') + 1], 'a core a worker process')
})

t.test('the page shows that file', async (t) => {
  const page = readFileSync(join(root, 'docs/many-machines.md'), 'utf8')
  t.ok(page.includes(`\`\`\`yaml\n${text}\`\`\``))
})
