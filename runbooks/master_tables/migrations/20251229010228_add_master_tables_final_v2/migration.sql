-- Sixteen master tables for approval workflows, next to workspaces, users and sites.
--
-- Rules live here as CHECK constraints and as one partial unique index (a workspace has at most one ACTIVE
-- configuration). References do not: config_versions.workspace_id is the only foreign key, the others are the
-- contract in ../../foreign_keys.toml and are added online. Their indexes are created here already, while the
-- tables are empty, because building them later costs more than the keys. Index names that would pass
-- PostgreSQL's 63 bytes are cut at 54 and end in 8 digits of the sha256 of the full name.

-- CreateTable
CREATE TABLE "config_versions" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "source_file_name" VARCHAR(255) NOT NULL,
    "source_type" VARCHAR(50) NOT NULL,
    "source_checksum" VARCHAR(64),
    "version_number" INTEGER NOT NULL,
    "status" VARCHAR(20) NOT NULL DEFAULT 'DRAFT',
    "row_count" INTEGER,
    "validation_status" VARCHAR(20) DEFAULT 'PENDING',
    "validation_errors" TEXT,
    "validation_warnings" TEXT,
    "imported_by" TEXT NOT NULL,
    "imported_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "activated_at" TIMESTAMP(6),
    "archived_at" TIMESTAMP(6),
    "effective_date" DATE DEFAULT now(),
    "expire_date" DATE,
    "previous_version_id" TEXT,
    "superseded_by_id" TEXT,
    "notes" TEXT,
    "is_rollback" BOOLEAN DEFAULT false,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "config_versions_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_config_versions_status" CHECK ("status" IN (
        'DRAFT', 'VALIDATED', 'ACTIVE', 'SUPERSEDED', 'ARCHIVED', 'FAILED', 'ROLLED_BACK'
    )),
    CONSTRAINT "ck_config_versions_validation_status" CHECK ("validation_status" IN (
        'PENDING', 'VALIDATING', 'VALID', 'PASSED', 'WARNING', 'INVALID', 'FAILED'
    )),
    CONSTRAINT "ck_config_versions_version_number" CHECK ("version_number" > 0),
    CONSTRAINT "ck_config_versions_row_count" CHECK ("row_count" >= 0)
);

-- CreateTable
CREATE TABLE "atp_scope_master" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "scope_code" VARCHAR(50) NOT NULL,
    "scope_name" VARCHAR(150) NOT NULL,
    "scope_group" VARCHAR(50) NOT NULL,
    "category_code" VARCHAR(50),
    "atp_type" VARCHAR(20) NOT NULL DEFAULT 'BOTH',
    "default_template_code" VARCHAR(50),
    "requires_cluster" BOOLEAN DEFAULT true,
    "default_workflow_stage" VARCHAR(50) DEFAULT 'REGISTERED',
    "sla_policy_id" TEXT,
    "is_active" BOOLEAN DEFAULT true,
    "effective_date" DATE DEFAULT now(),
    "expiry_date" DATE,
    "description" TEXT,
    "created_at" TIMESTAMP(6) DEFAULT now(),
    "updated_at" TIMESTAMP(6) DEFAULT now(),
    "created_by" TEXT,
    "updated_by" TEXT,

    CONSTRAINT "atp_scope_master_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_atp_scope_master_atp_type" CHECK ("atp_type" IN ('HARDWARE', 'SOFTWARE', 'BOTH'))
);

-- CreateTable
CREATE TABLE "vendor_master" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "vendor_code" VARCHAR(50) NOT NULL,
    "vendor_name" VARCHAR(150) NOT NULL,
    "vendor_type" VARCHAR(50) NOT NULL,
    "contact_person" VARCHAR(255),
    "contact_email" VARCHAR(255),
    "contact_phone" VARCHAR(50),
    "is_active" BOOLEAN DEFAULT true,
    "effective_date" DATE DEFAULT now(),
    "expiry_date" DATE,
    "created_at" TIMESTAMP(6) DEFAULT now(),
    "updated_at" TIMESTAMP(6) DEFAULT now(),

    CONSTRAINT "vendor_master_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "approval_role_master" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID,
    "config_version_id" TEXT NOT NULL,
    "role_code" VARCHAR(50) NOT NULL,
    "role_name" VARCHAR(150) NOT NULL,
    "role_description" TEXT,
    "hierarchy_order" INTEGER NOT NULL,
    "stage_group" VARCHAR(50),
    "is_final_approver" BOOLEAN DEFAULT false,
    "can_approve_parallel" BOOLEAN DEFAULT false,
    "is_active" BOOLEAN DEFAULT true,
    "effective_date" DATE DEFAULT now(),
    "expiry_date" DATE,
    "created_at" TIMESTAMP(6) DEFAULT now(),
    "updated_at" TIMESTAMP(6) DEFAULT now(),

    CONSTRAINT "approval_role_master_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_approval_role_master_hierarchy_order" CHECK ("hierarchy_order" >= 0)
);

-- CreateTable
CREATE TABLE "approval_policy_master" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "scope_id" TEXT NOT NULL,
    "vendor_id" TEXT,
    "atp_category" VARCHAR(20) NOT NULL,
    "fallback_priority" INTEGER DEFAULT 0,
    "parent_policy_id" TEXT,
    "policy_version" VARCHAR(20) NOT NULL,
    "policy_name" VARCHAR(255),
    "description" TEXT,
    "is_active" BOOLEAN DEFAULT true,
    "effective_date" DATE DEFAULT now(),
    "expiry_date" DATE,
    "created_at" TIMESTAMP(6) DEFAULT now(),
    "updated_at" TIMESTAMP(6) DEFAULT now(),

    CONSTRAINT "approval_policy_master_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_approval_policy_master_atp_category" CHECK ("atp_category" IN (
        'HARDWARE', 'SOFTWARE', 'BOTH'
    ))
);

-- CreateTable
CREATE TABLE "approval_policy_stages" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "policy_id" TEXT NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "stage_number" INTEGER NOT NULL,
    "stage_name" VARCHAR(100) NOT NULL,
    "stage_group" VARCHAR(50),
    "approval_role_id" TEXT NOT NULL,
    "is_required" BOOLEAN DEFAULT true,
    "is_parallel" BOOLEAN DEFAULT false,
    "parallel_group" VARCHAR(10),
    "sla_hours" INTEGER DEFAULT 24,
    "sla_days" INTEGER DEFAULT 1,
    "assignment_mode" VARCHAR(20) NOT NULL,
    "auto_assign_rule" TEXT,
    "notification_on_assign" BOOLEAN DEFAULT true,
    "notification_on_approve" BOOLEAN DEFAULT true,
    "notification_on_reject" BOOLEAN DEFAULT true,
    "sequence_order" INTEGER NOT NULL,
    "is_active" BOOLEAN DEFAULT true,
    "created_at" TIMESTAMP(6) DEFAULT now(),
    "updated_at" TIMESTAMP(6) DEFAULT now(),

    CONSTRAINT "approval_policy_stages_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_approval_policy_stages_stage_number" CHECK ("stage_number" > 0),
    CONSTRAINT "ck_approval_policy_stages_sla_hours" CHECK ("sla_hours" > 0),
    CONSTRAINT "ck_approval_policy_stages_assignment_mode" CHECK ("assignment_mode" IN (
        'AUTO', 'MANUAL', 'ROLE', 'USER', 'CLUSTER'
    ))
);

-- CreateTable
CREATE TABLE "cluster_master" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "scope_id" TEXT NOT NULL,
    "island_code" VARCHAR(10),
    "region_code" VARCHAR(10),
    "region_name" VARCHAR(100) NOT NULL,
    "province_name" VARCHAR(100),
    "city_code" VARCHAR(10),
    "city_name" VARCHAR(100),
    "cluster_code" VARCHAR(120) NOT NULL,
    "m_sequence" VARCHAR(10),
    "site_count" INTEGER DEFAULT 0,
    "source_sheet" VARCHAR(100),
    "source_row_number" INTEGER,
    "is_active" BOOLEAN DEFAULT true,
    "created_at" TIMESTAMP(6) DEFAULT now(),
    "updated_at" TIMESTAMP(6) DEFAULT now(),

    CONSTRAINT "cluster_master_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_cluster_master_site_count" CHECK ("site_count" >= 0)
);

-- CreateTable
CREATE TABLE "cluster_approver_master" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "cluster_id" TEXT NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "approval_role_id" TEXT NOT NULL,
    "primary_user_id" TEXT NOT NULL,
    "backup_user_id" TEXT,
    "assignment_notes" TEXT,
    "source_reference" VARCHAR(255),
    "is_active" BOOLEAN DEFAULT true,
    "effective_from" DATE DEFAULT now(),
    "effective_to" DATE,
    "created_at" TIMESTAMP(6) DEFAULT now(),
    "updated_at" TIMESTAMP(6) DEFAULT now(),

    CONSTRAINT "cluster_approver_master_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "workflow_instances" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "approval_policy_id" TEXT NOT NULL,
    "site_id" VARCHAR(100) NOT NULL,
    "vendor_id" TEXT,
    "scope_id" TEXT NOT NULL,
    "atp_category" VARCHAR(20) NOT NULL,
    "status" VARCHAR(30) NOT NULL DEFAULT 'IN_PROGRESS',
    "current_stage_number" INTEGER DEFAULT 1,
    "total_stages" INTEGER DEFAULT 0,
    "started_at" TIMESTAMP(6) DEFAULT now(),
    "completed_at" TIMESTAMP(6),
    "created_by" TEXT,
    "routing_snapshot" JSONB,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "workflow_instances_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_workflow_instances_status" CHECK ("status" IN (
        'PENDING', 'IN_PROGRESS', 'ON_HOLD', 'APPROVED', 'REJECTED', 'COMPLETED', 'CANCELLED'
    ))
);

-- CreateTable
CREATE TABLE "workflow_stages" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workflow_instance_id" TEXT NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "stage_number" INTEGER NOT NULL,
    "approval_role_id" TEXT NOT NULL,
    "is_parallel" BOOLEAN DEFAULT false,
    "parallel_group" VARCHAR(10),
    "approver_user_id" TEXT,
    "status" VARCHAR(30) NOT NULL DEFAULT 'PENDING',
    "decided_by" TEXT,
    "decided_at" TIMESTAMP(6),
    "decision_comments" TEXT,
    "sla_due_at" TIMESTAMP(6),
    "sla_breached_at" TIMESTAMP(6),
    "policy_stage_id" TEXT,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "workflow_stages_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_workflow_stages_stage_number" CHECK ("stage_number" > 0),
    CONSTRAINT "ck_workflow_stages_status" CHECK ("status" IN (
        'PENDING', 'IN_PROGRESS', 'IN_REVIEW', 'APPROVED', 'APPROVED_WITH_PUNCHLIST', 'REJECTED',
        'DELEGATED', 'SKIPPED', 'CANCELLED'
    ))
);

-- CreateTable
CREATE TABLE "approver_overrides" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "override_type" VARCHAR(20) NOT NULL,
    "workflow_stage_id" TEXT,
    "submission_id" TEXT,
    "cluster_id" TEXT,
    "region" VARCHAR(100),
    "approval_role_id" TEXT NOT NULL,
    "from_user_id" TEXT NOT NULL,
    "to_user_id" TEXT NOT NULL,
    "override_reason" TEXT NOT NULL,
    "requestor_user_id" TEXT,
    "approval_status" VARCHAR(20) DEFAULT 'PENDING',
    "approved_by" TEXT,
    "approved_at" TIMESTAMP(6),
    "is_active" BOOLEAN DEFAULT true,
    "effective_date" DATE DEFAULT now(),
    "expiry_date" DATE,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "created_by" TEXT,
    "notes" TEXT,

    CONSTRAINT "approver_overrides_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_approver_overrides_override_type" CHECK ("override_type" IN (
        'STAGE', 'SUBMISSION', 'CLUSTER', 'REGION', 'GLOBAL'
    )),
    CONSTRAINT "ck_approver_overrides_approval_status" CHECK ("approval_status" IN (
        'PENDING', 'APPROVED', 'REJECTED', 'CANCELLED', 'EXPIRED'
    ))
);

-- CreateTable
CREATE TABLE "atp_submissions" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "config_version_id" TEXT NOT NULL,
    "site_id" VARCHAR(100) NOT NULL,
    "scope_id" TEXT NOT NULL,
    "vendor_id" TEXT,
    "atp_category" VARCHAR(20) NOT NULL,
    "workflow_instance_id" TEXT,
    "primary_document_id" TEXT,
    "document_count" INTEGER DEFAULT 0,
    "status" VARCHAR(30) NOT NULL DEFAULT 'DRAFT',
    "current_stage_number" INTEGER DEFAULT 0,
    "last_action_at" TIMESTAMP(6),
    "submitted_at" TIMESTAMP(6),
    "approved_at" TIMESTAMP(6),
    "rejected_at" TIMESTAMP(6),
    "created_by" TEXT,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "atp_submissions_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_atp_submissions_status" CHECK ("status" IN (
        'DRAFT', 'SUBMITTED', 'IN_PROGRESS', 'IN_REVIEW', 'APPROVED', 'APPROVED_WITH_PUNCHLIST', 'REJECTED',
        'CANCELLED'
    )),
    CONSTRAINT "ck_atp_submissions_document_count" CHECK ("document_count" >= 0)
);

-- CreateTable
CREATE TABLE "atp_submission_documents" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workspace_id" UUID NOT NULL,
    "submission_id" TEXT NOT NULL,
    "document_id" TEXT NOT NULL,
    "document_type" VARCHAR(30) NOT NULL,
    "uploaded_by" TEXT,
    "uploaded_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "source_batch_id" TEXT,
    "notes" TEXT,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "atp_submission_documents_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "punchlists" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workflow_instance_id" TEXT NOT NULL,
    "workflow_stage_id" TEXT,
    "status" VARCHAR(20) NOT NULL DEFAULT 'OPEN',
    "issued_by" TEXT,
    "issued_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "cleared_by" TEXT,
    "cleared_at" TIMESTAMP(6),
    "notes" TEXT,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "punchlists_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_punchlists_status" CHECK ("status" IN (
        'OPEN', 'IN_PROGRESS', 'CLEARED', 'VERIFIED', 'CLOSED', 'CANCELLED'
    ))
);

-- CreateTable
CREATE TABLE "punchlist_items" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "punchlist_id" TEXT NOT NULL,
    "item_code" VARCHAR(50) NOT NULL,
    "description" TEXT NOT NULL,
    "status" VARCHAR(20) NOT NULL DEFAULT 'OPEN',
    "evidence_doc_id" TEXT,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "updated_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "punchlist_items_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_punchlist_items_status" CHECK ("status" IN (
        'OPEN', 'IN_PROGRESS', 'RESOLVED', 'CLEARED', 'VERIFIED', 'WAIVED', 'CANCELLED'
    ))
);

-- CreateTable
CREATE TABLE "workflow_stage_actions" (
    "id" TEXT NOT NULL DEFAULT (gen_random_uuid())::text,
    "workflow_stage_id" TEXT NOT NULL,
    "action_type" VARCHAR(30) NOT NULL,
    "actor_user_id" TEXT,
    "action_at" TIMESTAMP(6) NOT NULL DEFAULT now(),
    "payload" JSONB,
    "notes" TEXT,
    "created_at" TIMESTAMP(6) NOT NULL DEFAULT now(),

    CONSTRAINT "workflow_stage_actions_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "ck_workflow_stage_actions_action_type" CHECK ("action_type" IN (
        'ASSIGN', 'START', 'APPROVE', 'APPROVE_WITH_PUNCHLIST', 'REJECT', 'REQUEST_CHANGES', 'DELEGATE',
        'REASSIGN', 'ESCALATE', 'OVERRIDE', 'SKIP', 'COMMENT'
    ))
);

-- CreateIndex: config_versions
CREATE INDEX "ix_config_versions_workspace_id_status" ON "config_versions"("workspace_id", "status");
CREATE INDEX "ix_config_versions_workspace_id_source_type_version_number"
    ON "config_versions"("workspace_id", "source_type", "version_number");
CREATE INDEX "ix_config_versions_workspace_id_effective_date"
    ON "config_versions"("workspace_id", "effective_date");
CREATE INDEX "ix_config_versions_imported_by" ON "config_versions"("imported_by");
CREATE INDEX "ix_config_versions_previous_version_id" ON "config_versions"("previous_version_id");
CREATE INDEX "ix_config_versions_superseded_by_id" ON "config_versions"("superseded_by_id");
CREATE UNIQUE INDEX "ux_config_versions_one_active_per_workspace" ON "config_versions"("workspace_id")
    WHERE "status" = 'ACTIVE';

-- CreateIndex: atp_scope_master
CREATE UNIQUE INDEX "ux_atp_scope_master_workspace_id_scope_code_config_version_id"
    ON "atp_scope_master"("workspace_id", "scope_code", "config_version_id");
CREATE INDEX "ix_atp_scope_master_workspace_id_config_version_id_is_active"
    ON "atp_scope_master"("workspace_id", "config_version_id", "is_active");
CREATE INDEX "ix_atp_scope_master_workspace_id_scope_group_is_active"
    ON "atp_scope_master"("workspace_id", "scope_group", "is_active");
CREATE INDEX "ix_atp_scope_master_default_template_code" ON "atp_scope_master"("default_template_code");
CREATE INDEX "ix_atp_scope_master_config_version_id" ON "atp_scope_master"("config_version_id");

-- CreateIndex: vendor_master
CREATE UNIQUE INDEX "ux_vendor_master_workspace_id_vendor_code_config_version_id"
    ON "vendor_master"("workspace_id", "vendor_code", "config_version_id");
CREATE INDEX "ix_vendor_master_workspace_id_config_version_id_is_active"
    ON "vendor_master"("workspace_id", "config_version_id", "is_active");
CREATE INDEX "ix_vendor_master_vendor_code" ON "vendor_master"("vendor_code");
CREATE INDEX "ix_vendor_master_config_version_id" ON "vendor_master"("config_version_id");

-- CreateIndex: approval_role_master
CREATE UNIQUE INDEX "ux_approval_role_master_workspace_id_role_code_config__bb000480"
    ON "approval_role_master"("workspace_id", "role_code", "config_version_id");
CREATE INDEX "ix_approval_role_master_workspace_id_config_version_id_02343864"
    ON "approval_role_master"("workspace_id", "config_version_id", "is_active");
CREATE INDEX "ix_approval_role_master_workspace_id_hierarchy_order_is_active"
    ON "approval_role_master"("workspace_id", "hierarchy_order", "is_active");
CREATE INDEX "ix_approval_role_master_config_version_id" ON "approval_role_master"("config_version_id");

-- CreateIndex: approval_policy_master
CREATE UNIQUE INDEX "ux_approval_policy_master_workspace_id_config_version__111936e1"
    ON "approval_policy_master"("workspace_id", "config_version_id", "scope_id", "vendor_id", "atp_category");
CREATE INDEX "ix_approval_policy_master_workspace_id_scope_id_is_act_49bdaf03"
    ON "approval_policy_master"("workspace_id", "scope_id", "is_active", "fallback_priority");
CREATE INDEX "ix_approval_policy_master_workspace_id_vendor_id_is_active"
    ON "approval_policy_master"("workspace_id", "vendor_id", "is_active");
CREATE INDEX "ix_approval_policy_master_config_version_id" ON "approval_policy_master"("config_version_id");
CREATE INDEX "ix_approval_policy_master_scope_id" ON "approval_policy_master"("scope_id");
CREATE INDEX "ix_approval_policy_master_vendor_id" ON "approval_policy_master"("vendor_id");
CREATE INDEX "ix_approval_policy_master_parent_policy_id" ON "approval_policy_master"("parent_policy_id");

-- CreateIndex: approval_policy_stages
CREATE UNIQUE INDEX "ux_approval_policy_stages_policy_id_stage_number_appro_827cc5a9"
    ON "approval_policy_stages"("policy_id", "stage_number", "approval_role_id", "config_version_id");
CREATE INDEX "ix_approval_policy_stages_policy_id_sequence_order"
    ON "approval_policy_stages"("policy_id", "sequence_order");
CREATE INDEX "ix_approval_policy_stages_approval_role_id_is_active"
    ON "approval_policy_stages"("approval_role_id", "is_active");
CREATE INDEX "ix_approval_policy_stages_policy_id_parallel_group_is_active"
    ON "approval_policy_stages"("policy_id", "parallel_group", "is_active");
CREATE INDEX "ix_approval_policy_stages_config_version_id" ON "approval_policy_stages"("config_version_id");

-- CreateIndex: cluster_master
CREATE UNIQUE INDEX "ux_cluster_master_workspace_id_config_version_id_cluster_code"
    ON "cluster_master"("workspace_id", "config_version_id", "cluster_code");
CREATE INDEX "ix_cluster_master_workspace_id_config_version_id_is_active"
    ON "cluster_master"("workspace_id", "config_version_id", "is_active");
CREATE INDEX "ix_cluster_master_workspace_id_region_code_is_active"
    ON "cluster_master"("workspace_id", "region_code", "is_active");
CREATE INDEX "ix_cluster_master_workspace_id_m_sequence_is_active"
    ON "cluster_master"("workspace_id", "m_sequence", "is_active");
CREATE INDEX "ix_cluster_master_config_version_id" ON "cluster_master"("config_version_id");
CREATE INDEX "ix_cluster_master_scope_id" ON "cluster_master"("scope_id");

-- CreateIndex: cluster_approver_master
CREATE UNIQUE INDEX "ux_cluster_approver_master_workspace_id_cluster_id_app_379fd922"
    ON "cluster_approver_master"("workspace_id", "cluster_id", "approval_role_id", "config_version_id");
CREATE INDEX "ix_cluster_approver_master_workspace_id_cluster_id_app_6c674beb"
    ON "cluster_approver_master"(
        "workspace_id", "cluster_id", "approval_role_id", "config_version_id", "is_active"
    );
CREATE INDEX "ix_cluster_approver_master_primary_user_id_is_active"
    ON "cluster_approver_master"("primary_user_id", "is_active");
CREATE INDEX "ix_cluster_approver_master_cluster_id" ON "cluster_approver_master"("cluster_id");
CREATE INDEX "ix_cluster_approver_master_config_version_id" ON "cluster_approver_master"("config_version_id");
CREATE INDEX "ix_cluster_approver_master_approval_role_id" ON "cluster_approver_master"("approval_role_id");
CREATE INDEX "ix_cluster_approver_master_backup_user_id" ON "cluster_approver_master"("backup_user_id");

-- CreateIndex: workflow_instances
CREATE INDEX "ix_workflow_instances_workspace_id" ON "workflow_instances"("workspace_id");
CREATE INDEX "ix_workflow_instances_site_id" ON "workflow_instances"("site_id");
CREATE INDEX "ix_workflow_instances_status" ON "workflow_instances"("status");
CREATE INDEX "ix_workflow_instances_approval_policy_id" ON "workflow_instances"("approval_policy_id");
CREATE INDEX "ix_workflow_instances_config_version_id" ON "workflow_instances"("config_version_id");
CREATE INDEX "ix_workflow_instances_vendor_id" ON "workflow_instances"("vendor_id");
CREATE INDEX "ix_workflow_instances_scope_id" ON "workflow_instances"("scope_id");
CREATE INDEX "ix_workflow_instances_workspace_id_status_created_at"
    ON "workflow_instances"("workspace_id", "status", "created_at");

-- CreateIndex: workflow_stages
CREATE UNIQUE INDEX "ux_workflow_stages_workflow_instance_id_stage_number_a_dd0296f8"
    ON "workflow_stages"("workflow_instance_id", "stage_number", "approval_role_id", "parallel_group");
CREATE INDEX "ix_workflow_stages_workflow_instance_id" ON "workflow_stages"("workflow_instance_id");
CREATE INDEX "ix_workflow_stages_approver_user_id_status" ON "workflow_stages"("approver_user_id", "status");
CREATE INDEX "ix_workflow_stages_status" ON "workflow_stages"("status");
CREATE INDEX "ix_workflow_stages_stage_number" ON "workflow_stages"("stage_number");
CREATE INDEX "ix_workflow_stages_config_version_id" ON "workflow_stages"("config_version_id");
CREATE INDEX "ix_workflow_stages_approval_role_id" ON "workflow_stages"("approval_role_id");
CREATE INDEX "ix_workflow_stages_decided_by" ON "workflow_stages"("decided_by");
CREATE INDEX "ix_workflow_stages_policy_stage_id" ON "workflow_stages"("policy_stage_id");
CREATE INDEX "ix_workflow_stages_sla_due_at" ON "workflow_stages"("sla_due_at");

-- CreateIndex: approver_overrides
CREATE INDEX "ix_approver_overrides_workflow_stage_id_is_active"
    ON "approver_overrides"("workflow_stage_id", "is_active");
CREATE INDEX "ix_approver_overrides_submission_id_is_active"
    ON "approver_overrides"("submission_id", "is_active");
CREATE INDEX "ix_approver_overrides_cluster_id_approval_role_id_is_active"
    ON "approver_overrides"("cluster_id", "approval_role_id", "is_active");
CREATE INDEX "ix_approver_overrides_workspace_id" ON "approver_overrides"("workspace_id");
CREATE INDEX "ix_approver_overrides_approval_role_id" ON "approver_overrides"("approval_role_id");
CREATE INDEX "ix_approver_overrides_from_user_id" ON "approver_overrides"("from_user_id");
CREATE INDEX "ix_approver_overrides_to_user_id" ON "approver_overrides"("to_user_id");

-- CreateIndex: atp_submissions
CREATE UNIQUE INDEX "ux_atp_submissions_workspace_id_site_id_scope_id_atp_category"
    ON "atp_submissions"("workspace_id", "site_id", "scope_id", "atp_category");
CREATE INDEX "ix_atp_submissions_workspace_id" ON "atp_submissions"("workspace_id");
CREATE INDEX "ix_atp_submissions_site_id" ON "atp_submissions"("site_id");
CREATE INDEX "ix_atp_submissions_status" ON "atp_submissions"("status");
CREATE INDEX "ix_atp_submissions_workflow_instance_id" ON "atp_submissions"("workflow_instance_id");
CREATE INDEX "ix_atp_submissions_config_version_id" ON "atp_submissions"("config_version_id");
CREATE INDEX "ix_atp_submissions_scope_id" ON "atp_submissions"("scope_id");
CREATE INDEX "ix_atp_submissions_vendor_id" ON "atp_submissions"("vendor_id");
CREATE INDEX "ix_atp_submissions_workspace_id_status_created_at"
    ON "atp_submissions"("workspace_id", "status", "created_at");

-- CreateIndex: atp_submission_documents
CREATE INDEX "ix_atp_submission_documents_submission_id" ON "atp_submission_documents"("submission_id");
CREATE INDEX "ix_atp_submission_documents_document_id" ON "atp_submission_documents"("document_id");
CREATE INDEX "ix_atp_submission_documents_workspace_id" ON "atp_submission_documents"("workspace_id");

-- CreateIndex: punchlists
CREATE INDEX "ix_punchlists_workflow_instance_id" ON "punchlists"("workflow_instance_id");
CREATE INDEX "ix_punchlists_workflow_stage_id" ON "punchlists"("workflow_stage_id");
CREATE INDEX "ix_punchlists_status" ON "punchlists"("status");

-- CreateIndex: punchlist_items
CREATE INDEX "ix_punchlist_items_punchlist_id" ON "punchlist_items"("punchlist_id");
CREATE INDEX "ix_punchlist_items_status" ON "punchlist_items"("status");

-- CreateIndex: workflow_stage_actions
CREATE INDEX "ix_workflow_stage_actions_workflow_stage_id" ON "workflow_stage_actions"("workflow_stage_id");
CREATE INDEX "ix_workflow_stage_actions_actor_user_id" ON "workflow_stage_actions"("actor_user_id");
CREATE INDEX "ix_workflow_stage_actions_action_at" ON "workflow_stage_actions"("action_at");

-- AddForeignKey
ALTER TABLE "config_versions" ADD CONSTRAINT "fk_config_versions_workspace_id"
    FOREIGN KEY ("workspace_id") REFERENCES "workspaces"("id") ON DELETE RESTRICT ON UPDATE NO ACTION;
