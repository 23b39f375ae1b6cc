import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Certificate, type CertificateRevocationList, parseCertificate, parseCrl } from '@certfleet/agent-core/pki'

/** A certificate and what is needed to issue below it. */
export interface Issued {
  readonly certificate: Certificate
  readonly certFile: string
  readonly keyFile: string
  readonly subject: string
}

export interface IssueOptions {
  /** As `openssl -subj` takes it. */
  readonly subject: string
  /** Left out: self-signed. */
  readonly issuer?: Issued
  /** Whose key it is for. Left out: the one EC key of that name. */
  readonly keyFile?: string
  /** Lines of an openssl extension section. */
  readonly extensions: readonly string[]
  readonly days?: number
  readonly hash?: string
}

export const caExtensions = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
  'authorityKeyIdentifier=keyid',
]
export const leafExtensions = [
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'subjectKeyIdentifier=hash',
  'authorityKeyIdentifier=keyid',
]

/** Certificates and CRLs made by the openssl CLI in `dir`; nothing of certfleet has a hand in them. */
export class OpensslAuthority {
  readonly #dir: string
  #count = 0

  constructor(dir: string) {
    this.#dir = dir
  }

  key(type: 'ec' | 'rsa-1024' | 'rsa-2048' | 'ed25519'): string {
    const { privateKey } =
      type === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : type === 'ed25519'
          ? generateKeyPairSync('ed25519')
          : generateKeyPairSync('rsa', { modulusLength: Number(type.slice(4)) })
    return this.#write('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  }

  issue({ subject, issuer, extensions, days = 30, hash = 'sha256', ...options }: IssueOptions): Issued {
    const keyFile = options.keyFile ?? this.key('ec')
    const certFile = this.#write('cert.pem', '')
    const config = this.#write('extensions.cnf', `[v3]\n${extensions.join('\n')}\n`)
    const signer = issuer ? ['-CA', issuer.certFile, '-CAkey', issuer.keyFile] : ['-key', keyFile]
    const serial = `0x4${(++this.#count).toString(16).padStart(7, '0')}`
    openssl([
      'x509',
      '-new',
      '-subj',
      subject,
      '-utf8',
      '-force_pubkey',
      this.#publicKey(keyFile),
      ...signer,
      '-set_serial',
      serial,
      '-days',
      `${days}`,
      `-${hash}`,
      '-extfile',
      config,
      '-extensions',
      'v3',
      '-out',
      certFile,
    ])
    return { certificate: parseCertificate(derOf(readFileSync(certFile, 'utf8'))), certFile, keyFile, subject }
  }

  /** A CRL of `issuer` over `revoked`, valid for `days`. */
  crl(
    issuer: Issued,
    revoked: readonly Issued[],
    options: { readonly days?: number; readonly extensions?: readonly string[] } = {},
  ): CertificateRevocationList {
    const rows = revoked.map(
      ({ certificate }) =>
        `R\t301231235959Z\t250101000000Z\t${Buffer.from(certificate.serialNumber).toString('hex').toUpperCase()}\tunknown\t/CN=x\n`,
    )
    const index = this.#write('index.txt', rows.join(''))
    const number = this.#write('number', '01\n')
    const extensions = options.extensions ?? ['authorityKeyIdentifier=keyid']
    const config = this.#write(
      'ca.cnf',
      `[ca]\ndatabase=${index}\ncrlnumber=${number}\ndefault_md=sha256\nunique_subject=no\n[crl]\n${extensions.join('\n')}\n`,
    )
    const out = this.#write('crl.pem', '')
    const days = `${options.days ?? 7}`
    openssl([
      'ca',
      '-gencrl',
      '-config',
      config,
      '-name',
      'ca',
      '-crlexts',
      'crl',
      '-cert',
      issuer.certFile,
      '-keyfile',
      issuer.keyFile,
      '-crldays',
      days,
      '-out',
      out,
    ])
    return parseCrl(derOf(readFileSync(out, 'utf8')))
  }

  #publicKey(keyFile: string): string {
    return this.#write('public.pem', createPublicKey(readFileSync(keyFile)).export({ type: 'spki', format: 'pem' }) as string)
  }

  #write(name: string, content: string): string {
    const file = join(this.#dir, `${++this.#count}-${name}`)
    writeFileSync(file, content)
    return file
  }
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

export function derOf(pem: string): Uint8Array {
  return Buffer.from(pem.replace(/^.*?-----BEGIN [^-]+-----|-----END.*$|\s/gs, ''), 'base64')
}
