package main

import "slices"

// sabotage is one small breakage of the product.
type sabotage struct {
	name  string // of the table, and of ONLY=
	edits []edit
	tests []target // meant to catch it; the first that fails ends the search
	fast  bool     // in the fast half: its tests need seconds and no server
	needs string   // variable that names the server its tests run on; without it the row is left out, and says so
}

// edit replaces old, which stands exactly once in the file, by new.
type edit struct{ file, old, new string }

// target is what `go test` is asked for: a package and its -run.
type target struct{ pkg, run string }

// Where the tests are.
const (
	admission = "./core/admission"
	redisgate = "./core/admission/redisgate"
	ledger    = "./core/ledger"
	reconcile = "./core/reconcile"
	publish   = "./core/publish"
	kafka     = "./core/journal/kafkajournal"
	group     = "./consumer/internal/groupreader"
	httpapi   = "./api/internal/httpapi"
	auditor   = "./core/audit"
)

const lua = "core/admission/redisgate/lua/"

// gate, onSQLite and onMariaDB are tests of the suites that run on several stores.
func gate(run string) []target      { return []target{{redisgate, "TestGateOnEmbeddedRedis/" + run}} }
func onSQLite(run string) []target  { return []target{{ledger, "TestSQLite/" + run}} }
func onMariaDB(run string) []target { return []target{{ledger, "TestMariaDB/" + run}} }

func list() []sabotage {
	return append(append(append(atTheGate(), atTheDesk()...), inTheLedger()...), aroundTheJournal()...)
}

// atTheGate breaks the scripts. Those that have a like among the others are not in the fast half.
func atTheGate() []sabotage {
	const admit, prelude, open = lua + "admit.lua", lua + "prelude.lua", lua + "open.lua"
	slow := []string{
		"sold-out-before-holder", "key-names-no-place", "pending-not-counted", "members-not-counted", "confirm-any-number",
		"open-under-another-mark", "open-before-m", "numbers-begin-again", "record-wins-over-row",
	}
	rows := []sabotage{
		{name: "cap-off-by-one", edits: []edit{{admit, "elseif coupon.admitted >= t.cap then\n      decisions[i] = SOLD_OUT",
			"elseif coupon.admitted > t.cap then\n      decisions[i] = SOLD_OUT"}}, tests: gate("rule_3_admit")},
		{name: "window-end-inclusive", edits: []edit{{admit, "now >= tonumber(t.closes)", "now > tonumber(t.closes)"}},
			tests: gate("rule_3_window/both_edges_exact")},
		{name: "window-begin-exclusive", edits: []edit{{admit, "now < tonumber(t.opens)", "now <= tonumber(t.opens)"}},
			tests: gate("rule_3_window/both_edges_exact")},
		{name: "no-pending", edits: []edit{{admit, "  coupon.pending_n = coupon.pending_n + 1\n", ""},
			{admit, "  redis.call('ZADD', unpack(pending))\n", ""}}, tests: gate("rule_3_admit")},
		{name: "sold-out-before-holder", edits: []edit{{admit, "    if value then\n",
			"    if coupon.admitted >= t.cap then decisions[i] = SOLD_OUT elseif value then\n"}},
			tests: gate("rule_3_admit/the_same_user_gets_the_same_receipt")},
		{name: "event-member-not-checked", edits: []edit{{admit, "elseif elsewhere[i] == 1 then", "elseif false then"}},
			tests: gate("rule_3_event")},
		{name: "key-names-no-place", edits: []edit{{admit, "    if nth then\n", "    if false then\n"}}, tests: gate("rule_3_per-user_limit")},
		{name: "run-id-unchecked", edits: []edit{{prelude, "if g[3] ~= this_server() then", "if false then"}},
			tests: gate("rule_2_soundness/the_server_is_another_one")},
		{name: "replication-id-ignored", edits: []edit{{prelude, "return run .. ':' .. reign", "return run"}},
			tests: gate("rule_2_soundness/failover_and_back")},
		{name: "holders-not-counted", edits: []edit{{prelude, "if ask('HLEN', KEYS[3]) ~= coupon.admitted + coupon.returned then", "if false then"}},
			tests: gate("rule_2_soundness/one_holder_is_gone")},
		{name: "pending-not-counted", edits: []edit{{prelude, "if ask('ZCARD', KEYS[4]) ~= coupon.pending_n then", "if false then"}},
			tests: gate("rule_2_soundness/one_pending_entry_is_gone")},
		{name: "members-not-counted", edits: []edit{{prelude, "if ask('SCARD', KEYS[5]) ~= gate.members_n then", "if false then"}},
			tests: gate("rule_2_soundness/one_member_is_gone")},
		{name: "compensate-on-timeout", edits: []edit{{lua + "sweep.lua", "redis.call('SET', lease, ARGV[3], 'PX', ARGV[4])",
			"redis.call('HDEL', KEYS[3], unpack(fields)) redis.call('ZREM', KEYS[4], unpack(fields)) redis.call('HSET', KEYS[2], " +
				"'admitted', text(coupon.admitted - #fields), 'pending_n', text(coupon.pending_n - #fields))"}},
			tests: gate("rules_9_and_30_sweep")},
		{name: "confirm-any-epoch", edits: []edit{{lua + "confirm.lua", "if values[i] and epoch == gate.epoch then", "if values[i] then"}},
			tests: gate("rule_4_confirm")},
		{name: "confirm-any-number", edits: []edit{{lua + "confirm.lua", "if its and tonumber(its) == seq then", "if its then"}},
			tests: gate("rule_4_confirm")},
		{name: "mark-not-fenced", edits: []edit{{lua + "mark.lua", "if its and its >= epoch then", "if its and its > epoch then"}},
			tests: gate("rule_18_mark")},
		{name: "open-under-another-mark", edits: []edit{{open, "if not g or g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then", "if not g then"}},
			tests: gate("rule_25_open")},
		{name: "rename-without-count", edits: []edit{{open, "if ask('HLEN', KEYS[8 + 4 * i]) ~= tonumber(ARGV[12 + 9 * i]) then", "if false then"}},
			tests: gate("rule_25_open")},
		{name: "open-before-m", edits: []edit{{open, "if left > 0 then", "if false then"}}, tests: gate("rule_25_open/not_before_its_time")},
		{name: "numbers-begin-again", edits: []edit{{open, "'last_seq', ARGV[a + 8])", "'last_seq', '0')"}}, tests: gate("rule_25_open")},
		{name: "record-wins-over-row", edits: []edit{{lua + "load_tail.lua", "added + redis.call('HSETNX', KEYS[3]", "added + redis.call('HSET', KEYS[3]"}},
			tests: gate("rules_22_to_24_load")},
		{name: "lowering-below-admitted", edits: []edit{{lua + "change.lua", "if not widen and coupon.admitted > to.cap then", "if false then"}},
			tests: gate("rules_26_and_27_change")},
		{name: "revision-ignored", edits: []edit{{lua + "change.lua", "if revision < coupon.revision then", "if false then"}},
			tests: gate("rules_26_and_27_change")},
		{name: "sweeper-without-epoch", edits: []edit{{"core/admission/redisgate/confirm.go", "p.Epoch = epoch[0]", "p.Epoch = min(epoch[0], 1)"}},
			tests: gate("rules_9_and_30_sweep")},
	}
	for i, s := range rows {
		rows[i].fast = !slices.Contains(slow, s.name)
	}
	return rows
}

// atTheDesk breaks the use case of a claim, the sweeper and what the api says.
func atTheDesk() []sabotage {
	const desk, journey, sweeper = "core/admission/desk.go", "core/admission/desk_journey.go", "core/admission/sweeper.go"
	return []sabotage{
		{name: "confirmation-skipped", fast: true,
			edits: []edit{{journey, "err = refused(d.confirms[d.lane(j.ref.Tag)].Submit(confirmation{ref: j.ref, place: j.place}, j.confirmed))", "d.arrive(j, nil)"}},
			tests: []target{{admission, "TestARebuildBetweenAppendAndConfirmIsNeverAPromise"}}},
		{name: "confirmation-skipped-by-who-waits", edits: []edit{{journey, "\t\terr = d.confirm(ctx, j.ref, j.place)\n", ""}},
			tests: []target{{admission, "TestARebuildBetweenAppendAndConfirmIsNeverAPromise"}}},
		{name: "late-acknowledgement-not-confirmed", fast: true,
			edits: []edit{{journey, "if err = d.appended(j, err); err == nil {", "if err = d.appended(j, err); err == nil && j.orphan.Load() {\n\t\td.arrive(j, nil)\n\t} else if err == nil {"}},
			tests: []target{{admission, "Late|LostAcknowledgement|Acknowledge"}}},
		{name: "late-acknowledgement-not-confirmed-by-who-waited", edits: []edit{{journey, "\tif err == nil {\n\t\terr = d.confirm(ctx", "\tif err == nil && !j.orphan.Load() {\n\t\terr = d.confirm(ctx"}},
			tests: []target{{admission, "Late|LostAcknowledgement|Acknowledge"}}},
		{name: "pending-is-a-promise", fast: true, edits: []edit{{desk, "out.Again = said.Verdict == coupon.Holder", "out.Again = said.Verdict != coupon.Admitted"}},
			tests: []target{{admission, "TestALostAcknowledgementIsUnknownAndTheRetryGetsTheSamePlace"}}},
		{name: "retry-with-another-number", fast: true, edits: []edit{{desk, "Seq: said.Seq, Epoch", "Seq: said.Seq + int64(said.Verdict) - 1, Epoch"}},
			tests: []target{{admission, "TestALostAcknowledgementIsUnknownAndTheRetryGetsTheSamePlace"}}},
		{name: "replay-not-journaled", edits: []edit{{desk, "if out.Again && !replay {", "if out.Again {"}},
			tests: []target{{admission, "TestAReplayedHolderIsJournaledAgainWithTheGatesEpoch"}}},
		{name: "sweeper-journals-nothing", fast: true, edits: []edit{{sweeper, "if len(places) == 0 || time", "if true || len(places) == 0 || time"}},
			tests: []target{{admission, "TestTheSweeperJournalsWhatNobodyDidWithTheHoldersNumberAndTheGatesEpoch"}}},
		{name: "no-sweeper", edits: []edit{{"api/stages.go", `g.Go("sweeper", sweeper.Run)`, "_ = sweeper"}},
			tests: []target{{"./api", "TestAPlaceThatADeadApiLeftIsSettledWithoutItsUser"}}},
		{name: "pending-shown-as-accepted", edits: []edit{{"api/internal/httpapi/issues.go", "return contract.Issue{}, errPending", "return placeDocument(held.place, held.status()), nil"}},
			tests: []target{{httpapi, "TestWhatBecameOfAClaim"}}},
	}
}

// inTheLedger breaks the book, the rebuild and the retry.
func inTheLedger() []sabotage {
	const attempt, judge, epochs = "core/ledger/attempt.go", "core/ledger/judge.go", "core/ledger/epochs.go"
	const sqlite, pass, tail = "core/ledger/migrations/sqlite/00003_issues.sql", "core/reconcile/pass.go", "core/reconcile/tail.go"
	return []sabotage{
		{name: "counter-without-guard", fast: true, edits: []edit{{"core/ledger/write_sql.go",
			`" AND (total_quantity IS NULL OR issued_count + (" + add.String() + ") <= total_quantity)"`, `""`}}, tests: onSQLite("over_the_cap")},
		{name: "refused-guard-not-noticed", edits: []edit{{"core/ledger/write_sql.go", "if done.RowsAffected != int64(len(part)) {", "if false {"}},
			tests: onSQLite("over_the_cap")},
		{name: "duplicate-not-success", fast: true, edits: []edit{{judge, "if j.duplicate(r.Place, b) {", "if false {"}}, tests: onSQLite("duplicates")},
		{name: "insert-without-the-unique-key", fast: true, edits: []edit{{sqlite, "PRIMARY KEY (coupon_id, user_id, nth)", "PRIMARY KEY (coupon_id, user_id, nth, seq)"}},
			tests: onSQLite("schema")},
		{name: "event-key-not-unique", edits: []edit{{sqlite, "CREATE UNIQUE INDEX issues_event_user", "CREATE INDEX issues_event_user"}}, tests: onSQLite("schema")},
		{name: "collation-default", fast: true, edits: []edit{{sqlite, "user_id         TEXT     NOT NULL", "user_id TEXT COLLATE NOCASE NOT NULL"}},
			tests: onSQLite("duplicates")},
		{name: "collation-default-on-mariadb", needs: "FIRSTCOME_TEST_MARIADB_DSN", edits: []edit{{"core/ledger/migrations/mysql/00003_issues.sql",
			"user_id         VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", "user_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL"}},
			tests: onMariaDB("(schema|duplicates)")},
		{name: "gates-not-locked", needs: "FIRSTCOME_TEST_MARIADB_DSN", edits: []edit{{attempt, `err := forShare(tx).Select("tag, epoch`, `err := tx.Select("tag, epoch`}},
			tests: onMariaDB("overtaken_records")},
		{name: "barrier-read-outside-of-the-transaction", fast: true, edits: []edit{
			{"core/ledger/writer.go", "\tfor range lookTries {\n", "\ttags := []string{}\n\tfor _, b := range bookings {\n\t\ttags = append(tags, b.tag)\n\t}\n" +
				"\tif a.early, err = barriersOf(w.book.read.WithContext(ctx), tags); err != nil {\n\t\treturn err\n\t}\n\tfor range lookTries {\n"},
			{attempt, "\tverdicts verdicts // of the latest run\n", "\tverdicts verdicts\n\tearly coupon.Barriers\n"},
			{attempt, "return f, a.barriers(tx, f.barriers, overtakable, least)", "f.barriers = a.early\n\treturn f, nil"},
		}, tests: onSQLite("overtaken_records")},
		{name: "overtaken-is-a-row", fast: true, edits: []edit{{judge, "case j.facts.barriers.Overtaken", "case false && j.facts.barriers.Overtaken"}},
			tests: onSQLite("overtaken_records")},
		{name: "epoch-not-bumped", fast: true, edits: []edit{{epochs, `gorm.Expr("epoch + 1")`, `gorm.Expr("epoch")`}}, tests: onSQLite("rebuilds_at_once")},
		{name: "barrier-under-another-epoch", edits: []edit{{epochs, "if epochs[m.Tag] != m.Epoch {", "if false {"}}, tests: onSQLite("rebuilds_at_once")},
		{name: "failed-events-not-kept", edits: []edit{{attempt, "if err := a.keepFailures(tx, f.now); err != nil {", "if err := error(nil); err != nil {"}},
			tests: onSQLite("broken_and_refused_records")},
		{name: "failed-event-in-the-rolled-back-transaction", fast: true, edits: []edit{{"core/ledger/writer.go",
			"return insertFailed(tx, []failedRow{f.row(w.topic, at(now))})",
			"return errors.Join(insertFailed(tx, []failedRow{f.row(w.topic, at(now))}), errGuard)"},
			{"core/ledger/writer.go", "\tif err != nil {\n\t\treturn errors.Join(why, err)", "\tif err != nil && !errors.Is(err, errGuard) {\n\t\treturn errors.Join(why, err)"}},
			tests: onSQLite("lost_databases_and_deadlocks")},
		{name: "over-cap-not-told", edits: []edit{{judge, "j.fail(r, coupon.FailOverCap,", "_ = func(...any) {}; (func(...any) {})(r, coupon.FailOverCap,"}}, tests: onSQLite("over_the_cap")},
		{name: "change-without-fence", fast: true, edits: []edit{{"core/ledger/changes.go", "case epoch != epochAtGate:", "case epoch < 0:"}}, tests: onSQLite("changes_at_once")},
		{name: "lowering-below-the-rows", edits: []edit{{"core/ledger/changes.go", "case c.To.Total != nil && row.IssuedCount > *c.To.Total:", "case false:"}},
			tests: onSQLite("changes_at_once")},
		{name: "unknown-is-done", edits: []edit{{"core/ledger/writer.go", "\tif !refused(err) {\n", "\tif err != nil && !refused(err) {\n\t\treturn nil\n\t}\n\tif !refused(err) {\n"}},
			tests: onSQLite("lost_databases_and_deadlocks")},
		{name: "rebuild-ignores-the-unread-log", fast: true, edits: []edit{{tail, "\tif len(from) == 0 {\n", "\tif len(from) >= 0 {\n"}},
			tests: []target{{reconcile, "TestALostGateComesBackFromRowsAndUnreadRecords"}}},
		{name: "rows-before-offsets", fast: true, edits: []edit{{pass, "\t\t{\"read the committed offsets\", p.readCommitted}, // 21\n", ""},
			{pass, "\t\t{\"load the journal's tail\"", "\t\t{\"read the committed offsets\", p.readCommitted},\n\t\t{\"load the journal's tail\""}},
			tests: []target{{reconcile, "TestARebuildHasTheseSteps"}}},
		{name: "ends-before-the-mark", edits: []edit{{pass, "\t\t{\"note the ends of the journal\", p.noteEnds},    // 19\n", ""},
			{pass, "\t\t{\"mark the gates\", p.markGates}", "\t\t{\"note the ends of the journal\", p.noteEnds},\n\t\t{\"mark the gates\", p.markGates}"}},
			tests: []target{{reconcile, "TestARebuildHasTheseSteps"}}},
		{name: "overtaken-is-a-holder", edits: []edit{{tail, "return !t.barriers.Overtaken(m.Tag, place.Epoch, m.Epoch, partition, offset)", "return true"}},
			tests: []target{{reconcile, "TestARecordThatLandsAfterTheBarrierIsNeitherHolderNorRow"}}},
		{name: "lost-numbers-given-again", edits: []edit{{pass, "LastSeq: max(c.lastSeq, c.holders)", "LastSeq: c.holders"}},
			tests: []target{{reconcile, "TestNumbersOfRecordsThatGotLostAreNotGivenAgain"}}},
		{name: "replica-lag-ignored", edits: []edit{{pass, "return pause(ctx, p.deps.ReplicaMaxLag)", "return pause(ctx, 0)"}},
			tests: []target{{reconcile, "TestReplicasMayLagBehindTheMark"}}},
		{name: "refused-is-replayed", fast: true, edits: []edit{{"core/reconcile/retry.go", "case err == nil && verdict.Place():", "case err == nil:"}},
			tests: []target{{reconcile, "TestARefusalIsAnAttemptUntilAPersonHasToDecide"}}},
		{name: "new-gate-without-a-second-look", edits: []edit{{"core/publish/open.go", "case epochs[b.all[i].Tag] != b.all[i].Epoch:", "case epochs[b.all[i].Tag] < 0:"}},
			tests: []target{{publish, "TestAPublisherThatWakesUpLateOpensNoEmptyGate"}}},
	}
}

// aroundTheJournal breaks what speaks to Kafka, and the auditor; its tests run on a broker inside the process.
func aroundTheJournal() []sabotage {
	const claim, config, journal = "consumer/internal/groupreader/claim.go", "core/journal/kafkajournal/config.go", "core/journal/kafkajournal/journal.go"
	return []sabotage{
		{name: "mark-before-commit", edits: []edit{{claim, "\t\tif !c.write(batch) {\n", "\t\ts.MarkOffset(from.Topic(), partition, batch[len(batch)-1].Offset+1, \"\")\n\t\tif !c.write(batch) {\n"}},
			tests: []target{{group, "TestWhatWasWrittenAndNotMarkedComesAgain"}}},
		{name: "offsets-committed-ahead", edits: []edit{{claim, `s.MarkOffset(from.Topic(), partition, next, "")`, `s.MarkOffset(from.Topic(), partition, next+1, "")`}},
			tests: []target{{group, "TestWhatWasWrittenAndNotMarkedComesAgain|TestARebalance|TestPoison"}}},
		{name: "let-go-counts-as-written", edits: []edit{{claim, "\t\tcase <-c.gone:\n\t\t\twait.Stop()\n\t\t\treturn false", "\t\tcase <-c.gone:\n\t\t\twait.Stop()\n\t\t\treturn true"}},
			tests: []target{{group, "TestARebalanceInTheMiddleOfRetrying"}}},
		{name: "poison-skipped", edits: []edit{{claim, "\t\t\tc.intake.put(record, size)", "\t\t\tif record.Broken == nil {\n\t\t\t\tc.intake.put(record, size)\n\t\t\t}"}},
			tests: []target{{group, "TestPoisonOfEveryKindIsWrittenWithItsNeighbours"}}},
		{name: "cut-log-read-from-its-start", edits: []edit{{"consumer/internal/groupreader/config.go", "ResetInvalidOffsets = false", "ResetInvalidOffsets = true"}},
			tests: []target{{group, "TestSettingsThatLoseNothing"}}},
		{name: "acks-of-the-leader-alone", fast: true, edits: []edit{{config, "RequiredAcks = sarama.WaitForAll", "RequiredAcks = sarama.WaitForLocal"},
			{config, "Idempotent = true", "Idempotent = false"}}, tests: []target{{kafka, "TestAnAcknowledgementIsAskedOfAllReplicas"}}},
		{name: "no-news-is-an-acknowledgement", edits: []edit{{journal, `return fmt.Errorf("no acknowledgement in time: %w", ctx.Err())`, "return nil"}},
			tests: []target{{kafka, "TestWhileTheBrokerIsGoneAppendEndsByItsDeadlineAndAfterwardsItWorks"}}},
		{name: "failure-is-an-acknowledgement", fast: true, edits: []edit{{"core/journal/kafkajournal/line.go", "d.done(l.cfg.explain(err))", "d.done(nil)"}},
			tests: []target{{kafka, "TestAPartitionThatOnlyFailsIsNoticedUntilItsNextSuccess"}}},
		{name: "unsettled-is-an-acknowledgement", edits: []edit{{"core/journal/kafkajournal/line.go", "d.done(errAbandoned)", "d.done(nil)"}},
			tests: []target{{kafka, "TestALineThatSettlesNothingIsNoticedAndItsRoomComesBack"}}},
		{name: "records-do-not-gather", edits: []edit{{claim, "batch = c.intake.take(c.gone, ripe)", "_, batch = ripe, c.intake.take(c.gone, time.Time{})"}},
			tests: []target{{"./consumer/internal/groupreader", "TestRecordsGatherAfterABatch"}}},
		{name: "unclean-election-allowed", fast: true, edits: []edit{{"core/journal/kafkajournal/topic.go", `"unclean.leader.election.enable": value("false")`, `"unclean.leader.election.enable": value("true")`}},
			tests: []target{{kafka, "TestATopicIsMadeToKeepWhatWasAcknowledged"}}},
		{name: "cut-log-rebuilt-from", edits: []edit{{"core/journal/kafkajournal/reader.go", "case at < start:", "case at < 0:"}},
			tests: []target{{kafka, "TestALogThatWasCutAboveTheCommittedOffsetsIsAnAlarm"}}},
		{name: "added-partitions-get-records", fast: true, edits: []edit{{"core/journal/kafkajournal/placing.go", "return f.Partitioner.Partition(m, count)", "return f.Partitioner.Partition(m, has)"}},
			tests: []target{{kafka, "TestPartitionsAddedByHandGetNoRecords"}}},
		{name: "new-topic-read-as-the-old-one", edits: []edit{{claim, "if from.InitialOffset() < 0 && !r.readable(s.Context(), partition) {", "if false {"}},
			tests: []target{{group, "TestATopicThatEndsBeforeWhatTheLedgerKnowsIsNotRead"}}},
		{name: "attempts-forgotten", edits: []edit{{"batch/tools.go", "Journal: countingJournal{t.journal}", "Journal: t.journal"}},
			tests: []target{{"./e2e", "TestOvertakenRecordGoesThroughTheGateAgain"}}},
		{name: "holders-of-an-older-reading", fast: true, edits: []edit{{"core/audit/compare.go", "if e.scan != 0 && e.scan != c.tag.scan {", "if false {"}},
			tests: []target{{auditor, "TestAGateThatIsRebuiltWhileItIsReadGivesNoFindings"}}},
	}
}
