/** What a device has to keep keys in beside its software. */
export const hardwareKinds = ['tpm-2.0', 'tpm-1.2', 'no-tpm'] as const
export type Hardware = (typeof hardwareKinds)[number]
