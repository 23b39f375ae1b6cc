import { startProcess } from './child.ts'
import type { EmbeddedLab, LabOrders } from './embedded-lab.ts'

/** A lab in a process of its own, which takes no more than its share of the machine from the devices. Rejects where it cannot begin. */
export async function startLabProcess(orders: LabOrders): Promise<EmbeddedLab> {
  const process = startProcess({ kind: 'lab', orders })
  try {
    const { reach } = await process.next('lab')
    return {
      ...reach,
      async deliver(imported) {
        const delivered = process.next('delivered')
        process.send({ kind: 'deliver', imported })
        await delivered
      },
      async issued() {
        const answered = process.next('issued')
        process.send({ kind: 'issued' })
        return (await answered).issued
      },
      async cost() {
        const answered = process.next('cost')
        process.send({ kind: 'cost' })
        return (await answered).cost
      },
      async close() {
        process.send({ kind: 'close' })
        await process.ended
      },
    }
  } catch (error) {
    process.kill()
    await process.ended
    throw error
  }
}
