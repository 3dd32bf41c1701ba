-- What Prisma's schema engine 7.10.0 makes of split beside it. Recorded by
--   prisma migrate diff --from-empty --to-schema split --script

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "crew";

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "fleet";

-- CreateTable
CREATE TABLE "fleet"."vessels" (
    "id" INTEGER NOT NULL,
    "owner_id" INTEGER NOT NULL,

    CONSTRAINT "vessels_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "crew"."Person" (
    "id" INTEGER NOT NULL,
    "bossId" INTEGER,
    "rankId" INTEGER NOT NULL,

    CONSTRAINT "Person_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "crew"."person_rank" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "person_rank_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "fleet"."_sisters" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_sisters_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateTable
CREATE TABLE "crew"."_crew" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_crew_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateIndex
CREATE INDEX "_sisters_B_index" ON "fleet"."_sisters"("B");

-- CreateIndex
CREATE INDEX "_crew_B_index" ON "crew"."_crew"("B");

-- AddForeignKey
ALTER TABLE "fleet"."vessels" ADD CONSTRAINT "vessels_owner_id_fkey" FOREIGN KEY ("owner_id") REFERENCES "crew"."Person"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "crew"."Person" ADD CONSTRAINT "Person_bossId_fkey" FOREIGN KEY ("bossId") REFERENCES "crew"."Person"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "crew"."Person" ADD CONSTRAINT "Person_rankId_fkey" FOREIGN KEY ("rankId") REFERENCES "crew"."person_rank"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "fleet"."_sisters" ADD CONSTRAINT "_sisters_A_fkey" FOREIGN KEY ("A") REFERENCES "fleet"."vessels"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "fleet"."_sisters" ADD CONSTRAINT "_sisters_B_fkey" FOREIGN KEY ("B") REFERENCES "fleet"."vessels"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "crew"."_crew" ADD CONSTRAINT "_crew_A_fkey" FOREIGN KEY ("A") REFERENCES "crew"."Person"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "crew"."_crew" ADD CONSTRAINT "_crew_B_fkey" FOREIGN KEY ("B") REFERENCES "fleet"."vessels"("id") ON DELETE CASCADE ON UPDATE CASCADE;


