-- What Prisma's schema engine 7.10.0 makes of relations.prisma beside it. Recorded by
--   prisma migrate diff --from-empty --to-schema relations.prisma --script

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateEnum
CREATE TYPE "flags" AS ENUM ('RED', 'white');

-- CreateTable
CREATE TABLE "Captain" (
    "id" SERIAL NOT NULL,
    "name" VARCHAR(80),

    CONSTRAINT "Captain_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Ship" (
    "id" SERIAL NOT NULL,
    "captainId" INTEGER NOT NULL,

    CONSTRAINT "Ship_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "berths" (
    "id" INTEGER NOT NULL,
    "captain_ref" INTEGER,

    CONSTRAINT "berths_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Logbook" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "Logbook_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Harbour" (
    "code" TEXT NOT NULL,

    CONSTRAINT "Harbour_pkey" PRIMARY KEY ("code")
);

-- CreateTable
CREATE TABLE "Lighthouse" (
    "id" UUID NOT NULL,
    "code" TEXT NOT NULL,

    CONSTRAINT "Lighthouse_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Crane" (
    "id" BIGINT NOT NULL,
    "code" TEXT,

    CONSTRAINT "Crane_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Pier" (
    "id" INTEGER NOT NULL,
    "code" TEXT,

    CONSTRAINT "Pier_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Tug" (
    "id" INTEGER NOT NULL,
    "code" TEXT NOT NULL DEFAULT 'none',

    CONSTRAINT "Tug_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Buoy" (
    "id" INTEGER NOT NULL,
    "code" TEXT NOT NULL,

    CONSTRAINT "Buoy_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Ferry" (
    "id" INTEGER NOT NULL,
    "code" TEXT NOT NULL,

    CONSTRAINT "Ferry_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "berthings of all years" (
    "year" INTEGER NOT NULL,
    "number" INTEGER NOT NULL,
    "ticket" TEXT NOT NULL,
    "country" TEXT NOT NULL,
    "plate" TEXT NOT NULL,

    CONSTRAINT "berthings of all years_pkey" PRIMARY KEY ("year","number")
);

-- CreateTable
CREATE TABLE "Toll" (
    "id" INTEGER NOT NULL,
    "ticket" TEXT NOT NULL,

    CONSTRAINT "Toll_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Fine" (
    "id" INTEGER NOT NULL,
    "berthing_year" INTEGER,
    "berthing_no" INTEGER,

    CONSTRAINT "Fine_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Check" (
    "id" INTEGER NOT NULL,
    "land" TEXT NOT NULL,
    "plate" TEXT NOT NULL,

    CONSTRAINT "Check_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Visit" (
    "id" INTEGER NOT NULL,
    "berthingYear" INTEGER NOT NULL,
    "berthingNo" INTEGER,

    CONSTRAINT "Visit_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Sailor" (
    "id" INTEGER NOT NULL,
    "successorId" INTEGER,
    "teacherId" INTEGER NOT NULL,

    CONSTRAINT "Sailor_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Crest" (
    "family" TEXT NOT NULL,
    "branch" TEXT NOT NULL,
    "upFamily" TEXT,
    "upBranch" TEXT
);

-- CreateTable
CREATE TABLE "Motto" (
    "text" TEXT NOT NULL,
    "family" TEXT NOT NULL,
    "branch" TEXT NOT NULL,

    CONSTRAINT "Motto_pkey" PRIMARY KEY ("text")
);

-- CreateTable
CREATE TABLE "Route" (
    "id" INTEGER NOT NULL,
    "from" INTEGER NOT NULL,
    "to" INTEGER,

    CONSTRAINT "Route_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "stations" (
    "station_id" INTEGER NOT NULL,

    CONSTRAINT "stations_pkey" PRIMARY KEY ("station_id")
);

-- CreateTable
CREATE TABLE "charts" (
    "code" TEXT NOT NULL,

    CONSTRAINT "charts_pkey" PRIMARY KEY ("code")
);

-- CreateTable
CREATE TABLE "Region" (
    "region_nr" BIGINT NOT NULL,

    CONSTRAINT "Region_pkey" PRIMARY KEY ("region_nr")
);

-- CreateTable
CREATE TABLE "Place" (
    "id" UUID NOT NULL,

    CONSTRAINT "Place_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Tag" (
    "name" TEXT NOT NULL,

    CONSTRAINT "Tag_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "Item" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "Item_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "TagOnItem" (
    "itemId" INTEGER NOT NULL,
    "tagName" TEXT NOT NULL,
    "at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "TagOnItem_pkey" PRIMARY KEY ("itemId","tagName")
);

-- CreateTable
CREATE TABLE "AVeryLongNameOfATableThatKeepsTheHistoryOfAllShipsOfTheFleet" (
    "id" INTEGER NOT NULL,
    "theColumnThatPointsToTheKeeper" INTEGER NOT NULL,

    CONSTRAINT "AVeryLongNameOfATableThatKeepsTheHistoryOfAllShipsOfTheFle_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Keeper" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "Keeper_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "öä" (
    "id" INTEGER NOT NULL,
    "die_größe_des_schiffes_und_seiner_mannschaft_in_häfen" INTEGER NOT NULL,

    CONSTRAINT "öä_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ATableWhoseNameIsLongerThanWhatTheServerKeepsOfItByALotOfLettersYes" (
    "id" INTEGER NOT NULL,
    "theVeryLongNameOfTheColumnThatLeadsToTheOtherTableInThisSchemaOfOursBy" INTEGER NOT NULL,

    CONSTRAINT "ATableWhoseNameIsLongerThanWhatTheServerKeepsOfItByALotOfL_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Tally" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "Tally_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Ghost" (
    "id" INTEGER NOT NULL,
    "hauntId" INTEGER NOT NULL,

    CONSTRAINT "Ghost_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Haunt" (
    "id" INTEGER NOT NULL,

    CONSTRAINT "Haunt_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Echo" (
    "id" INTEGER NOT NULL,
    "hauntId" INTEGER NOT NULL,

    CONSTRAINT "Echo_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "model" (
    "enum" INTEGER,
    "id" SERIAL NOT NULL,
    "flags" "flags"[] DEFAULT ARRAY['RED', 'white']::"flags"[],
    "json" JSONB NOT NULL DEFAULT '{"a": [1, 2], "b": "// no comment"}',
    "negative" DOUBLE PRECISION NOT NULL DEFAULT -1.5,
    "point" circle,
    "made" TIMESTAMPTZ(6) NOT NULL DEFAULT now() + '1 day'::interval,

    CONSTRAINT "model key" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "type" (
    "model" INTEGER NOT NULL,

    CONSTRAINT "type_pkey" PRIMARY KEY ("model")
);

-- CreateTable
CREATE TABLE "_Following" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_Following_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateTable
CREATE TABLE "_RouteToStation" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_RouteToStation_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateTable
CREATE TABLE "_overnight stops" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_overnight stops_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateTable
CREATE TABLE "_ChartToRegion" (
    "A" TEXT NOT NULL,
    "B" BIGINT NOT NULL,

    CONSTRAINT "_ChartToRegion_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateTable
CREATE TABLE "_mapped" (
    "A" TEXT NOT NULL,
    "B" UUID NOT NULL,

    CONSTRAINT "_mapped_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateTable
CREATE TABLE "_TheLongNameOfARelationBetweenAllReadersAndAllHistoriesOfIt" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_TheLongNameOfARelationBetweenAllReadersAndAllHistories_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateIndex
CREATE UNIQUE INDEX "Ship_captainId_key" ON "Ship"("captainId");

-- CreateIndex
CREATE UNIQUE INDEX "berths_captain_ref_key" ON "berths"("captain_ref");

-- CreateIndex
CREATE UNIQUE INDEX "berthings of all years_ticket_key" ON "berthings of all years"("ticket");

-- CreateIndex
CREATE UNIQUE INDEX "berthings of all years_country_plate_key" ON "berthings of all years"("country", "plate" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "Sailor_successorId_key" ON "Sailor"("successorId");

-- CreateIndex
CREATE UNIQUE INDEX "Crest_family_branch_key" ON "Crest"("family", "branch");

-- CreateIndex
CREATE UNIQUE INDEX "Motto_family_branch_key" ON "Motto"("family", "branch");

-- CreateIndex
CREATE INDEX "an index" ON "model"("enum", "id" DESC);

-- CreateIndex
CREATE INDEX "model_json_idx" ON "model" USING GIN ("json" jsonb_path_ops);

-- CreateIndex
CREATE INDEX "_Following_B_index" ON "_Following"("B");

-- CreateIndex
CREATE INDEX "_RouteToStation_B_index" ON "_RouteToStation"("B");

-- CreateIndex
CREATE INDEX "_overnight stops_B_index" ON "_overnight stops"("B");

-- CreateIndex
CREATE INDEX "_ChartToRegion_B_index" ON "_ChartToRegion"("B");

-- CreateIndex
CREATE INDEX "_mapped_B_index" ON "_mapped"("B");

-- CreateIndex
CREATE INDEX "_TheLongNameOfARelationBetweenAllReadersAndAllHistories_B_index" ON "_TheLongNameOfARelationBetweenAllReadersAndAllHistoriesOfIt"("B");

-- AddForeignKey
ALTER TABLE "Ship" ADD CONSTRAINT "Ship_captainId_fkey" FOREIGN KEY ("captainId") REFERENCES "Captain"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "berths" ADD CONSTRAINT "berths_captain_ref_fkey" FOREIGN KEY ("captain_ref") REFERENCES "Captain"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Logbook" ADD CONSTRAINT "Logbook_id_fkey" FOREIGN KEY ("id") REFERENCES "Captain"("id") ON DELETE CASCADE ON UPDATE RESTRICT;

-- AddForeignKey
ALTER TABLE "Lighthouse" ADD CONSTRAINT "Lighthouse_code_fkey" FOREIGN KEY ("code") REFERENCES "Harbour"("code") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Crane" ADD CONSTRAINT "Crane_code_fkey" FOREIGN KEY ("code") REFERENCES "Harbour"("code") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Pier" ADD CONSTRAINT "Pier_code_fkey" FOREIGN KEY ("code") REFERENCES "Harbour"("code") ON DELETE SET NULL ON UPDATE SET NULL;

-- AddForeignKey
ALTER TABLE "Tug" ADD CONSTRAINT "Tug_code_fkey" FOREIGN KEY ("code") REFERENCES "Harbour"("code") ON DELETE SET DEFAULT ON UPDATE SET DEFAULT;

-- AddForeignKey
ALTER TABLE "Buoy" ADD CONSTRAINT "Buoy_code_fkey" FOREIGN KEY ("code") REFERENCES "Harbour"("code") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "Ferry" ADD CONSTRAINT "the ferry's harbour" FOREIGN KEY ("code") REFERENCES "Harbour"("code") ON DELETE CASCADE ON UPDATE RESTRICT;

-- AddForeignKey
ALTER TABLE "Toll" ADD CONSTRAINT "Toll_ticket_fkey" FOREIGN KEY ("ticket") REFERENCES "berthings of all years"("ticket") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Fine" ADD CONSTRAINT "Fine_berthing_year_berthing_no_fkey" FOREIGN KEY ("berthing_year", "berthing_no") REFERENCES "berthings of all years"("year", "number") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Check" ADD CONSTRAINT "Check_plate_land_fkey" FOREIGN KEY ("plate", "land") REFERENCES "berthings of all years"("plate", "country") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Visit" ADD CONSTRAINT "Visit_berthingYear_berthingNo_fkey" FOREIGN KEY ("berthingYear", "berthingNo") REFERENCES "berthings of all years"("year", "number") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Sailor" ADD CONSTRAINT "Sailor_successorId_fkey" FOREIGN KEY ("successorId") REFERENCES "Sailor"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Sailor" ADD CONSTRAINT "Sailor_teacherId_fkey" FOREIGN KEY ("teacherId") REFERENCES "Sailor"("id") ON DELETE NO ACTION ON UPDATE NO ACTION;

-- AddForeignKey
ALTER TABLE "Crest" ADD CONSTRAINT "Crest_upFamily_upBranch_fkey" FOREIGN KEY ("upFamily", "upBranch") REFERENCES "Crest"("family", "branch") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Motto" ADD CONSTRAINT "Motto_family_branch_fkey" FOREIGN KEY ("family", "branch") REFERENCES "Crest"("family", "branch") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Route" ADD CONSTRAINT "Route_from_fkey" FOREIGN KEY ("from") REFERENCES "stations"("station_id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Route" ADD CONSTRAINT "Route_to_fkey" FOREIGN KEY ("to") REFERENCES "stations"("station_id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "TagOnItem" ADD CONSTRAINT "TagOnItem_itemId_fkey" FOREIGN KEY ("itemId") REFERENCES "Item"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "TagOnItem" ADD CONSTRAINT "TagOnItem_tagName_fkey" FOREIGN KEY ("tagName") REFERENCES "Tag"("name") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "AVeryLongNameOfATableThatKeepsTheHistoryOfAllShipsOfTheFleet" ADD CONSTRAINT "AVeryLongNameOfATableThatKeepsTheHistoryOfAllShipsOfTheFle_fkey" FOREIGN KEY ("theColumnThatPointsToTheKeeper") REFERENCES "Keeper"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "öä" ADD CONSTRAINT "öä_die_größe_des_schiffes_und_seiner_mannschaft_in_hä_fkey" FOREIGN KEY ("die_größe_des_schiffes_und_seiner_mannschaft_in_häfen") REFERENCES "Keeper"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ATableWhoseNameIsLongerThanWhatTheServerKeepsOfItByALotOfLettersYes" ADD CONSTRAINT "ATableWhoseNameIsLongerThanWhatTheServerKeepsOfItByALotOfL_fkey" FOREIGN KEY ("theVeryLongNameOfTheColumnThatLeadsToTheOtherTableInThisSchemaOfOursBy") REFERENCES "Tally"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Ghost" ADD CONSTRAINT "Ghost_hauntId_fkey" FOREIGN KEY ("hauntId") REFERENCES "Haunt"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Echo" ADD CONSTRAINT "Echo_hauntId_fkey" FOREIGN KEY ("hauntId") REFERENCES "Haunt"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "model" ADD CONSTRAINT "model_enum_fkey" FOREIGN KEY ("enum") REFERENCES "type"("model") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_Following" ADD CONSTRAINT "_Following_A_fkey" FOREIGN KEY ("A") REFERENCES "Sailor"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_Following" ADD CONSTRAINT "_Following_B_fkey" FOREIGN KEY ("B") REFERENCES "Sailor"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_RouteToStation" ADD CONSTRAINT "_RouteToStation_A_fkey" FOREIGN KEY ("A") REFERENCES "Route"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_RouteToStation" ADD CONSTRAINT "_RouteToStation_B_fkey" FOREIGN KEY ("B") REFERENCES "stations"("station_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_overnight stops" ADD CONSTRAINT "_overnight stops_A_fkey" FOREIGN KEY ("A") REFERENCES "Route"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_overnight stops" ADD CONSTRAINT "_overnight stops_B_fkey" FOREIGN KEY ("B") REFERENCES "stations"("station_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_ChartToRegion" ADD CONSTRAINT "_ChartToRegion_A_fkey" FOREIGN KEY ("A") REFERENCES "charts"("code") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_ChartToRegion" ADD CONSTRAINT "_ChartToRegion_B_fkey" FOREIGN KEY ("B") REFERENCES "Region"("region_nr") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_mapped" ADD CONSTRAINT "_mapped_A_fkey" FOREIGN KEY ("A") REFERENCES "charts"("code") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_mapped" ADD CONSTRAINT "_mapped_B_fkey" FOREIGN KEY ("B") REFERENCES "Place"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_TheLongNameOfARelationBetweenAllReadersAndAllHistoriesOfIt" ADD CONSTRAINT "_TheLongNameOfARelationBetweenAllReadersAndAllHistoriesO_A_fkey" FOREIGN KEY ("A") REFERENCES "AVeryLongNameOfATableThatKeepsTheHistoryOfAllShipsOfTheFleet"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_TheLongNameOfARelationBetweenAllReadersAndAllHistoriesOfIt" ADD CONSTRAINT "_TheLongNameOfARelationBetweenAllReadersAndAllHistoriesO_B_fkey" FOREIGN KEY ("B") REFERENCES "Keeper"("id") ON DELETE CASCADE ON UPDATE CASCADE;


