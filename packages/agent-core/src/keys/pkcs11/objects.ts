import { type Attribute, CKA, CKO, type Cryptoki, type Handle } from './cryptoki.ts'
import { type KeyName, labelOf, objectId } from './key-name.ts'
import { Refusal, wrongObject } from './refusal.ts'
import { nameAttributes, onToken } from './templates.ts'

/** A session that may use private objects. */
export interface Desk {
  readonly cryptoki: Cryptoki
  readonly session: Handle
}

/** The halves of a pair that are there. */
export function findHalves(desk: Desk, name: KeyName): { privateKey: Handle | undefined; publicKey: Handle | undefined } {
  const [privateKey] = findNamed(desk, CKO.PRIVATE_KEY, name)
  const [publicKey] = findNamed(desk, CKO.PUBLIC_KEY, name)
  return { privateKey, publicKey }
}

/** How many objects there were. The private half goes first: what a crash leaves is then of no use to anybody. */
export function destroyHalves(desk: Desk, name: KeyName): number {
  let destroyed = 0
  for (const kind of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]) {
    for (const object of findNamed(desk, kind, name)) {
      destroyObject(desk, object)
      destroyed += 1
    }
  }
  return destroyed
}

/** Every label of the namespace, also where only half of a pair is left, so that it can be destroyed. */
export function listLabels(desk: Desk, namespace: string): string[] {
  const objects = [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY].flatMap((kind) => findAll(desk, [{ type: CKA.CLASS, value: kind }, onToken]))
  const labels = objects.map((object) => labelOfObject(desk, object, namespace))
  return [...new Set(labels.filter((label) => label !== undefined))]
}

/** Undefined where the object has no such attribute. One that may not be read is an error like any other. */
export function readAttribute({ cryptoki, session }: Desk, object: Handle, type: number): Buffer | undefined {
  try {
    return cryptoki.C_GetAttributeValue(session, object, [{ type }])[0]?.value
  } catch (error) {
    if (isRefusal(error, 'CKR_ATTRIBUTE_TYPE_INVALID')) return undefined
    throw error
  }
}

function labelOfObject(desk: Desk, object: Handle, namespace: string): string | undefined {
  const [label, id] = [CKA.LABEL, CKA.ID].map((type) => readAttribute(desk, object, type))
  return label && id && labelOf(namespace, { objectLabel: label.toString('utf8'), objectId: id })
}

/**
 * tpm2-pkcs11 1.9 can give two objects one handle, once others were destroyed. What a handle leads to is looked at before it is used,
 * so that no key is ever taken for another, let alone destroyed in its place.
 */
function findNamed(desk: Desk, kind: number, name: KeyName): Handle[] {
  const found = findAll(desk, [{ type: CKA.CLASS, value: kind }, onToken, ...nameAttributes(name)])
  const isIt = (object: Handle) =>
    readAttribute(desk, object, CKA.CLASS)?.[0] === kind && readAttribute(desk, object, CKA.ID)?.equals(objectId(name))
  if (!found.every(isIt)) throw new Refusal('C_FindObjects', wrongObject)
  return found
}

function findAll({ cryptoki, session }: Desk, template: Attribute[]): Handle[] {
  cryptoki.C_FindObjectsInit(session, template)
  const found: Handle[] = []
  for (let more = cryptoki.C_FindObjects(session, 100); more.length > 0; more = cryptoki.C_FindObjects(session, 100)) found.push(...more)
  cryptoki.C_FindObjectsFinal(session)
  return found
}

function destroyObject({ cryptoki, session }: Desk, object: Handle): void {
  try {
    cryptoki.C_DestroyObject(session, object)
  } catch (error) {
    // Some tokens take the other half along.
    if (!isRefusal(error, 'CKR_OBJECT_HANDLE_INVALID')) throw error
  }
}

function isRefusal(error: unknown, returnValue: string): boolean {
  return error instanceof Refusal && error.returnValue === returnValue
}
