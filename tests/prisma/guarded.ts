// Cases of the generated guard on a real database: what each ended with, and the queries that reached the server.
import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "./generated/client.ts";
import { guard } from "./guard.ts";

const queries: string[] = [];
const base = new PrismaClient({
  adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL! }),
  log: [{ emit: "event", level: "query" }],
});
base.$on("query", (event: { query: string }) => queries.push(event.query));
const prisma = guard(base);
const id = (digit: string): string => `00000000-0000-0000-0000-00000000000${digit}`;
const told: Record<string, unknown> = {};

async function say(name: string, act: () => PromiseLike<unknown>): Promise<void> {
  queries.length = 0;
  const end: Record<string, unknown> = { error: null };
  try {
    await act();
  } catch (error) {
    const { name: kind, relation, columns, values } = error as Record<string, unknown>;
    Object.assign(end, { error: kind, relation, columns, values });
  }
  end["checks"] = queries.filter((each) => each.includes("WITH ORDINALITY")).length;
  end["writes"] = queries.filter((each) => /^(INSERT|UPDATE|DELETE)/.test(each)).length;
  end["locks"] = queries.filter((each) => each.includes("FOR KEY SHARE")).length;
  told[name] = end;
}

const orders = (bad: number): { key: bigint; buyerId: string; billId: string }[] =>
  Array.from({ length: 1000 }, (_, at) => ({ key: BigInt(100 + at), buyerId: id(at === bad ? "9" : "1"), billId: id("1") }));

await base.customer.createMany({ data: [{ id: id("1"), code: "a" }, { id: id("2"), code: "b" }] });
await say("create bad", () => prisma.order.create({ data: { key: 1n, buyerId: id("9") } }));
await say("create good", () => prisma.order.create({ data: { key: 1n, buyerId: id("1"), billId: id("2") } }));
await say("create null", () => prisma.order.create({ data: { key: 2n, buyerId: null } }));
await say("connect bad", () => prisma.order.create({ data: { key: 3n, buyer: { connect: { id: id("9") } } } }));
await say("connect unique bad", () => prisma.order.create({ data: { key: 3n, buyer: { connect: { code: "zz" } } } }));
await say("nested bad", () =>
  prisma.customer.create({ data: { id: id("3"), code: "c", orders: { create: [{ key: 3n, billId: id("9") }] } } }));
await say("nested good", () =>
  prisma.customer.create({
    data: {
      id: id("3"), code: "c",
      orders: { create: [{ key: 3n, billId: id("3"), lines: { createMany: { data: [{ a: 1, b: 1 }, { a: 1, b: 2 }] } } }] },
    },
  }));
await say("many bad", () => prisma.order.createMany({ data: orders(700) }));
await say("many good", () => prisma.order.createMany({ data: orders(-1) }));
await say("interactive bad", () =>
  prisma.$transaction(async (tx) => {
    await tx.customer.create({ data: { id: id("4"), code: "d" } });
    await tx.order.create({ data: { key: 4n, buyerId: id("4") } });
    await tx.order.create({ data: { key: 5n, buyerId: id("9") } });
  }));
await say("batch bad", () =>
  prisma.$transaction([
    prisma.order.create({ data: { key: 5n, buyerId: id("1") } }),
    prisma.order.create({ data: { key: 6n, buyerId: id("9") } }),
  ]));
await say("batch good", () =>
  prisma.$transaction([
    prisma.customer.create({ data: { id: id("4"), code: "d" } }),
    prisma.order.create({ data: { key: 4n, buyerId: id("4") } }),
    prisma.order.count(),
  ]));
await say("update bad", () => prisma.order.update({ where: { key: 1n }, data: { buyerId: { set: id("9") } } }));
await say("update nested bad", () =>
  prisma.customer.update({ where: { code: "a" }, data: { orders: { update: { where: { key: 1n }, data: { billId: id("9") } } } } }));
await say("upsert of a row that is there", () =>
  prisma.customer.upsert({ where: { code: "a" }, update: {}, create: { code: "a", orders: { create: { billId: id("9") } } } }));
await say("upsert bad", () =>
  prisma.customer.upsert({ where: { code: "x" }, update: {}, create: { code: "x", orders: { create: { billId: id("9") } } } }));
await say("composite bad", () => prisma.note.create({ data: { id: 1, a: 1, b: 9 } }));
await say("composite good", () => prisma.note.create({ data: { id: 1, a: 1, b: 1 } }));
await say("composite half null", () => prisma.note.create({ data: { id: 2, a: 9 } }));
await say("composite in part bad", () => prisma.note.update({ where: { id: 1 }, data: { b: 9 } }));
await say("composite in part good", () => prisma.note.update({ where: { id: 1 }, data: { b: 2 } }));
await say("composite in part, in a transaction", () => prisma.$transaction((tx) => tx.note.update({ where: { id: 1 }, data: { b: 2 } })));
await say("composite in part, of rows", () => prisma.$transaction((tx) => tx.note.updateMany({ where: { id: { lt: 2 } }, data: { b: 9 } })));
await say("arithmetic", () => prisma.note.update({ where: { id: 1 }, data: { b: { increment: 1 } } }));
await say("delete restricted", () => prisma.customer.delete({ where: { id: id("1") } }));
await say("delete many restricted", () => prisma.customer.deleteMany({ where: { code: { in: ["a", "b"] } } }));
await say("delete cascade", () => prisma.order.delete({ where: { key: 3n } }));
await say("delete sets null", () => prisma.customer.delete({ where: { code: "b" } }));
await say("key changed", () => prisma.customer.update({ where: { code: "a" }, data: { id: id("5") } }));
await say("extended", () => prisma.$extends({}).order.create({ data: { key: 7n, buyerId: id("9") } }));

await say("connectOrCreate of a row that is there", () =>
  prisma.order.create({
    data: { key: 60n, buyer: { connectOrCreate: { where: { code: "a" }, create: { id: id("7"), code: "a" } } }, bill: { connect: { id: id("7") } } },
  }));
await say("upsert that creates", () =>
  prisma.customer.upsert({ where: { code: "g" }, create: { id: id("7"), code: "g", orders: { create: { key: 60n, billId: id("7") } } }, update: {} }));
await say("upsert that creates nothing", () =>
  prisma.customer.upsert({ where: { code: "a" }, create: { id: id("8"), code: "a" }, update: { orders: { create: { key: 61n, billId: id("8") } } } }));

for (const level of ["RepeatableRead", "Serializable", "ReadCommitted"] as const) {
  await say(`delete under ${level}`, () =>
    prisma.$transaction(
      async (tx) => {
        await tx.customer.count();
        await base.order.upsert({ where: { key: 62n }, create: { key: 62n, buyerId: id("7") }, update: {} });
        await tx.customer.delete({ where: { id: id("7") } });
      },
      { isolationLevel: level },
    ));
}

await base.person.createMany({ data: [{ id: 3, bossId: 3 }, { id: 6 }, { id: 7, bossId: 6 }] });
const rekeyed = (where: number, to: number, boss: number) => () => prisma.person.update({ where: { id: where }, data: { id: to, bossId: boss } });
await say("key and own reference together", rekeyed(3, 5, 5));
await say("key and own reference to the key it loses", rekeyed(5, 10, 5));
await say("key and own reference to nothing", rekeyed(5, 10, 99));
await say("key of a row that another refers to", rekeyed(6, 10, 10));

/** Two transactions write one half of a key each; the second is sent before the first commits, and ends after it. */
async function halves(): Promise<void> {
  let late: Promise<unknown> = Promise.resolve();
  await prisma.$transaction(async (one) => {
    await one.note.update({ where: { id: 9 }, data: { b: 6 } });
    late = prisma.$transaction((two) => two.note.update({ where: { id: 9 }, data: { a: 6 } }));
    late.catch(() => undefined);
    const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while (((await base.$queryRawUnsafe(waiting)) as unknown[]).length === 0);
  });
  await late;
}
await base.line.createMany({ data: [{ a: 5, b: 5, order: 1n }, { a: 5, b: 6, order: 1n }, { a: 6, b: 5, order: 1n }] });
await base.note.create({ data: { id: 9, a: 5, b: 5 } });
await say("two halves of a key", halves);
await base.note.deleteMany({ where: { id: 9 } });
await base.line.deleteMany();
await base.order.deleteMany({ where: { key: { in: [60n, 61n, 62n] } } });
console.log(JSON.stringify(told));
await base.$disconnect();
