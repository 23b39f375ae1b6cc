import type { Principal } from '@certfleet/agent-core'

/** What a path below Vendor/MSFT leads to. Names other than ids are in lower case. */
export interface NodePath {
  readonly kind: 'scep' | 'pfx' | 'root' | 'ca'
  readonly principal: Principal
  /** The CSP's older tree, CertificateStore. */
  readonly old: boolean
  /** The request's id, or the certificate's SHA-1, as written. */
  readonly id: string
  /** Below it: `install/keyusage`. Empty for the node itself. */
  readonly leaf: string
}

const trees: readonly { prefix: string; kind: NodePath['kind']; old: boolean }[] = [
  { prefix: 'clientcertificateinstall/scep/', kind: 'scep', old: false },
  { prefix: 'clientcertificateinstall/pfxcertinstall/', kind: 'pfx', old: false },
  { prefix: 'rootcatrustedcertificates/root/', kind: 'root', old: false },
  { prefix: 'rootcatrustedcertificates/ca/', kind: 'ca', old: false },
  { prefix: 'certificatestore/my/scep/', kind: 'scep', old: true },
  { prefix: 'certificatestore/root/system/', kind: 'root', old: true },
  { prefix: 'certificatestore/ca/system/', kind: 'ca', old: true },
  { prefix: 'certificatestore/root/', kind: 'root', old: true },
  { prefix: 'certificatestore/ca/', kind: 'ca', old: true },
]

/** Undefined for a path of another CSP, and for one that names no request or certificate. Without a scope it is the device's. */
export function parseNodePath(path: string): NodePath | undefined {
  const [, scope = 'device', below = ''] = /^\.\/(?:(device|user)\/)?vendor\/msft\/(.+)$/i.exec(path) ?? []
  const tree = trees.find(({ prefix }) => below.toLowerCase().startsWith(prefix))
  if (tree === undefined) return undefined
  const [id = '', ...leaf] = below.slice(tree.prefix.length).split('/').map(decoded)
  const principal = scope.toLowerCase() === 'user' ? 'user' : 'device'
  return id === '' ? undefined : { kind: tree.kind, old: tree.old, principal, id, leaf: leaf.join('/').toLowerCase() }
}

/** A name with a percent sign of its own stays as it is. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
