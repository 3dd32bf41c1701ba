-- What Prisma's schema engine 7.10.0 makes of emulated.prisma beside it. Recorded by
--   prisma migrate diff --from-empty --to-schema emulated.prisma --script

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "Garden" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "Garden_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Bed" (
    "id" INTEGER NOT NULL,
    "gardenId" INTEGER,

    CONSTRAINT "Bed_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Row" (
    "id" INTEGER NOT NULL,
    "bedId" INTEGER NOT NULL,

    CONSTRAINT "Row_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Owner" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "Owner_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "_GardenToOwner" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_GardenToOwner_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateIndex
CREATE INDEX "Bed_gardenId_idx" ON "Bed"("gardenId");

-- CreateIndex
CREATE INDEX "Row_bedId_idx" ON "Row"("bedId");

-- CreateIndex
CREATE INDEX "_GardenToOwner_B_index" ON "_GardenToOwner"("B");


