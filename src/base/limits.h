/*
 * limits.h -- every bound, with why it is what it is.
 *
 * Reaching one is an error that names it. Those marked (default) can be
 * changed by a configuration key; the constant is then the key's default.
 */
#ifndef IG_BASE_LIMITS_H
#define IG_BASE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define IG_KIB ((size_t)1024)
#define IG_MIB (1024 * IG_KIB)
#define IG_GIB (1024 * IG_MIB)

/* SQL text */

/* (default) Tools generate up to some 100 KiB; Trino allows about as much. */
#define IG_SQL_BYTES_MAX IG_MIB

/* Offsets and columns stay far inside int32. */
#define IG_SQL_BYTES_LIMIT (64 * IG_MIB)

/* (default) 50 refuses real generated SQL; each level takes parser stack. */
#define IG_SQL_NESTING_MAX 200

/* What planning stacks of 64 MiB carry in a debug build. */
#define IG_SQL_NESTING_LIMIT 1000

/* (default) Weighed as in sql/guard.h, what plans in half a second: 400 `+`, 1,000
 * comparisons joined by OR, 200 joins. */
#define IG_SQL_OPERATORS_MAX 2000

/* One operator is at least one plan node: IG_PLAN_NODES_MAX. */
#define IG_SQL_OPERATORS_LIMIT 20000

/* An IN list that fills 1 MiB; the parser holds about 100 bytes per token. */
#define IG_SQL_TOKENS_MAX 400000

/* PostgreSQL's protocol has the same. */
#define IG_SQL_PARAMETERS_MAX 65535

/* Statements of one script: 1 MiB of short ones. */
#define IG_SQL_STATEMENTS_MAX 100000

/* catalog.schema.table.column has four; settings of the engine, which are refused by
 * name, have up to five. */
#define IG_SQL_NAME_PARTS_MAX 8

/* Names and values */

/* A file name's limit: schemas and tables are folders. */
#define IG_IDENTIFIER_BYTES_MAX 255

/* The longest is a search_path. */
#define IG_SETTING_BYTES_MAX (4 * IG_KIB)

/* Linux' PATH_MAX. */
#define IG_PATH_BYTES_MAX 4096

/* Common limit of HTTP software. */
#define IG_URI_BYTES_MAX (8 * IG_KIB)

/* Planning */

/* (default) Views and CTEs multiply; memory per node is about 1 KiB. */
#define IG_PLAN_NODES_MAX 20000

/* Views on views; deeper is a mistake, not a model. */
#define IG_VIEW_DEPTH_MAX 32

/* Cancelled while planning and not yet done: 8 x 64 MiB of stack. */
#define IG_PLANS_ABANDONED_MAX 8

/* Lazily touched; the SQL limits above are measured on it. */
#define IG_PLAN_STACK_BYTES (64 * IG_MIB)

/* Sessions and statements */

/* (default) As many connections as a server accepts. */
#define IG_SESSIONS_MAX 1024

/* Of a statement's text in lists and logs: a screen full. */
#define IG_STATEMENT_SHOWN_BYTES_MAX (4 * IG_KIB)

/* What a client is found again by: a token's hash or a cookie. */
#define IG_SESSION_KEY_BYTES_MAX 256

/* Per session; a client that leaks handles shows early. */
#define IG_PREPARED_MAX 1024

/* Plans of queries for further statements of the same text, of all sessions together: as
 * many as dashboards ask at a time. Each takes some 20 KiB, and at most some 300. */
#define IG_PLANS_KEPT_MAX 256

/* Of the text of such a query; longer ones take longer to run than to plan. */
#define IG_PLANS_KEPT_SQL_BYTES_MAX (4 * IG_KIB)

/* Tickets, prepared statements and transactions of one session, of each sort: as
 * IG_PREPARED_MAX. */
#define IG_FLIGHT_HANDLES_PER_SESSION_MAX 1024

/* Of all sessions together; each may keep a plan of some 100 KiB. */
#define IG_FLIGHT_HANDLES_MAX 16384

/* A ticket that nobody reads: the longest that a client waits between asking and reading,
 * and for what a renewed one is kept. */
#define IG_FLIGHT_TICKET_US INT64_C(600000000)

/* Uploads that were copied or unpacked, of the process: twice the largest message. */
#define IG_FLIGHT_UNPACKED_BYTES_MAX (2 * IG_GIB)

/* Connections whose session is remembered, where clients show no token and no cookie: at
 * most one for each session, of which limits.sessions allows so many. */
#define IG_FLIGHT_CONNECTIONS_MAX 65536

/* Connections that are counted as users of one session, by a token that they share; with
 * more at a time it ends only when it is idle. */
#define IG_FLIGHT_SESSION_CONNECTIONS_MAX 32

/* Columns of one schema that are described by metadata, some 400 bytes each: with more,
 * clients that take 4 MiB could not read what they are told of a wide result. */
#define IG_FLIGHT_DESCRIBED_COLUMNS_MAX 2048

/* Options of a client's own that a session keeps. */
#define IG_FLIGHT_OPTIONS_MAX 64

/* What a client may take to end its side of an upload that was answered; longer holds a
 * thread for nothing. */
#define IG_FLIGHT_HALF_CLOSE_US INT64_C(2000000)

/* Rows that stay bound to the prepared statements of one session: they keep the memory of
 * the messages that they came in until they run or their statement is closed. One value
 * of 60 MiB is among the sizes that clients are to manage. */
#define IG_FLIGHT_BOUND_BYTES_PER_SESSION_MAX (64 * IG_MIB)

/* Of all sessions: half of what the budget of messages has beside one upload. So little
 * as the last that is said here is bound whatever the others have. */
#define IG_FLIGHT_BOUND_BYTES_MAX (128 * IG_MIB)
#define IG_FLIGHT_BOUND_BYTES_FREE (4 * IG_KIB)

/* Schemas of tables in one answer to GetTables: a hundred thousand narrow ones. */
#define IG_FLIGHT_SCHEMA_BYTES_MAX (256 * IG_MIB)

/* Calls that wait for a thread and not for the engine: handshakes, cancelling. */
#define IG_FLIGHT_ANSWER_THREADS_MAX 32
#define IG_FLIGHT_ANSWERS_WAITING_MAX 1024

/* (default) Planning threads, each with IG_PLAN_STACK_BYTES. */
#define IG_RUNNING_MAX 64

/* Of a result or table; a Parquet footer of some MiB. */
#define IG_COLUMNS_MAX 16384

/* Sources */

/* Each keeps connections and listings; more want a catalog service. */
#define IG_ATTACHMENTS_MAX 1000

/* Of ATTACH or CREATE SECRET: the longest list of connection parameters has forty. */
#define IG_SOURCE_OPTIONS_MAX 64

/* Secrets are opened one at a time; tokens and certificates are the longest. */
#define IG_SECRETS_MAX 10000
#define IG_SECRET_BYTES_MAX (64 * IG_KIB)

/* A source as bytes: each option and secret of one, and its URI; and what a worker is
 * told that reads it, which is a snapshot's name more. */
#define IG_SOURCE_BYTES_MAX ((2 * IG_SOURCE_OPTIONS_MAX + 1) * 2 * IG_SECRET_BYTES_MAX)
#define IG_LEASE_BYTES_MAX (IG_SOURCE_BYTES_MAX + 4 * IG_KIB)

/* Users and logins */

/* All are in memory, half a KiB each. */
#define IG_USERS_MAX 10000

/* Longer than any sentence; it travels in a header of 64 KiB at most. */
#define IG_PASSWORD_BYTES_MAX 1024

/* Two checks a 0.1 s: whoever waits longer than three seconds has given up. */
#define IG_LOGINS_QUEUED_MAX 64

/* Logins that share the checks of those: one for each session of a server. */
#define IG_LOGINS_WAITING_MAX 1024

/* How long a right password is known again without another check. */
#define IG_PASSWORD_REMEMBERED_US INT64_C(60000000)

/* Different right passwords within that minute; the oldest goes. */
#define IG_PASSWORDS_REMEMBERED_MAX 256

/* Peers, and pairs of peer and name, whose wrong passwords are counted; the one that was
 * quiet for longest goes. */
#define IG_LOGIN_PEERS_MAX 2048

/* The longest that wrong passwords make a peer wait: guessing ends there, people do not
 * give up. */
#define IG_LOGIN_BACKOFF_MAX_US INT64_C(30000000)

/* One for each connection of a large pool; the one unused for longest ends. */
#define IG_TOKENS_PER_USER_MAX 1024
#define IG_TOKENS_MAX 65536

/* A day without use, a month at most: pools live long, laptops get lost. */
#define IG_TOKEN_IDLE_US INT64_C(86400000000)
#define IG_TOKEN_AGE_US INT64_C(2592000000000)

/* Arrow IPC */

/* Fields of a schema with those inside them: four for each column. */
#define IG_IPC_FIELDS_MAX (4 * IG_COLUMNS_MAX)

/* (default) One message that clients do not split: what DoPut takes. */
#define IG_IPC_BODY_BYTES_MAX IG_GIB

/* Rows that a message may claim where it has less than a bit for each (NULL columns, run
 * ends): a reader may make them real. */
#define IG_IPC_FREE_ROWS_MAX (16 * 1024 * 1024)

/* Console */

/* A probe and a scraper have one each; more wait in the system's queue. */
#define IG_HTTP_CONNECTIONS_MAX 64

/* A request line and headers of a browser fit. */
#define IG_HTTP_REQUEST_BYTES_MAX (16 * IG_KIB)

/* Seconds in which a peer must say or take something. */
#define IG_HTTP_TIMEOUT_S 10

/* Some hundred metrics of some hundred bytes. */
#define IG_METRICS_BYTES_MAX IG_MIB

/* Files */

/* Listing takes 10 s on a slow disk; more wants a catalog. */
#define IG_FILES_PER_TABLE_MAX 100000

/* Folders below the fixed part of a pattern. */
#define IG_GLOB_DEPTH_MAX 32

/* gRPC */

/* Requests: SQL text of 1 MiB, tickets, plans. */
#define IG_RPC_MESSAGE_BYTES_MAX (16 * IG_MIB)

/* DoPut: clients send what the application gave them in one piece. Also what our own
 * client takes, since one row may hold a value of this size. */
#define IG_RPC_PUT_BYTES_MAX IG_GIB

/* Waiting for a peer that does not read: one on its way, one ready behind it. */
#define IG_RPC_QUEUED_MESSAGES_MAX 2
#define IG_RPC_QUEUED_BYTES_MAX (8 * IG_MIB)

/* The same where the sender is told of room (members): two batches, or many small ones,
 * since each telling wakes a thread. */
#define IG_RPC_POLLED_BYTES_MAX (2 * IG_MIB)
#define IG_RPC_POLLED_MESSAGES_MAX 64

/* What waits for more to be written with it: as much as a socket takes at once. */
#define IG_RPC_HELD_BYTES_MAX (64 * IG_KIB)

/* Posted without waiting: the answers of one action or listing. */
#define IG_RPC_POSTED_MESSAGES_MAX 256

/* Taken in and not yet asked for, small ones; the rest waits as bytes of the window. */
#define IG_RPC_RECEIVED_MESSAGES_MAX 64

/* Messages in memory of all calls of the process: the largest one, and other calls'. */
#define IG_RPC_BUDGET_BYTES (IG_GIB + 256 * IG_MIB)

/* Taken in by each call whatever the budget says: a login, a cancel, an ordinary query.
 */
#define IG_RPC_SMALL_BYTES (64 * IG_KIB)

/* Memory for a message before its bytes came, on the word of a peer that may lie. */
#define IG_RPC_AHEAD_BYTES (4 * IG_KIB)

/* Memory of received batches that is kept for the next: the few that are on their way. */
#define IG_RPC_KEPT_BYTES_MAX (20 * IG_MIB)

/* Of members, which send each other the sides of joins and groups: what a statement on a
 * few million rows has at a time. Given back once nobody has asked for so long. */
#define IG_RPC_MEMBER_KEPT_BYTES_MAX (96 * IG_MIB)
#define IG_RPC_KEPT_BLOCKS_MAX 1536
#define IG_RPC_KEPT_US INT64_C(10000000)

/* 64 KiB of metadata (long tokens, cookies) and HTTP/2's 32 bytes for each of them. */
#define IG_RPC_METADATA_BYTES_MAX (80 * IG_KIB)

/* Headers of one block, decompressed, before the connection ends: up to here the call is
 * refused with a status that says why. */
#define IG_RPC_HEADER_BYTES_MAX (4 * IG_RPC_METADATA_BYTES_MAX)

/* Many clients refuse trailers over 8 KiB, whatever we allow. */
#define IG_RPC_STATUS_TEXT_MAX (4 * IG_KIB)
#define IG_RPC_STATUS_BYTES_MAX (7 * IG_KIB)

/* Beyond four, epoll threads take cores from the engine and give nothing. */
#define IG_RPC_IO_THREADS_MAX 4

/* A user's connection; pools open more connections before they open more streams. */
#define IG_RPC_STREAMS_MAX 256

/* A member's: 64 tasks that read 64 partitions each. */
#define IG_RPC_MEMBER_STREAMS_MAX 4096

/* Each listener has an address of its own in the configuration. */
#define IG_RPC_LISTENERS_MAX 64

/* Flight SQL has eleven; a service of many more wants another table than a list. */
#define IG_RPC_METHODS_MAX 256

/* Names that are looked up at a time, by threads that nobody may wait for any more: a
 * resolver that is dead must not collect them. */
#define IG_RPC_LOOKUPS_MAX 16

/* Addresses of a name that are tried, and subject names read from a certificate. */
#define IG_RPC_ADDRESSES_MAX 16
#define IG_RPC_PEER_NAMES_MAX 64

/* Unread bytes per stream: 1 MiB is 20 ms at 400 Mbit/s, and 256 MiB for the streams of a
 * hostile connection, which the budget bounds further. */
#define IG_RPC_SERVER_WINDOW_BYTES IG_MIB

/* A client asked for what comes: a batch and the next. */
#define IG_RPC_CLIENT_WINDOW_BYTES (16 * IG_MIB)

/* Between members: a batch and the next; a partition that is not read yet holds as much.
 */
#define IG_RPC_MEMBER_WINDOW_BYTES (2 * IG_MIB)

/* Consumed on receipt, so it only has to cover the way there and back. */
#define IG_RPC_CONNECTION_WINDOW_BYTES (64 * IG_MIB)

/* Frames above 1 MiB gain nothing. */
#define IG_RPC_FRAME_BYTES_MAX IG_MIB

/* Written at once: a socket's buffer, and what fits the kernel's IOV_MAX. */
#define IG_RPC_WRITE_BYTES_MAX IG_MIB
#define IG_RPC_WRITE_PARTS_MAX 1000

/* Ciphertext waiting for a socket: sixteen records of 16 KiB. */
#define IG_RPC_CIPHER_BYTES_MAX (256 * IG_KIB)

/* Streams that a peer resets: a pool that cancels a lot stays below, an attack does not.
 */
#define IG_RPC_RESETS_BURST 1000
#define IG_RPC_RESETS_PER_S 50

/* Acknowledgements and resets waiting for a peer that does not read them. */
#define IG_RPC_ACKS_MAX 1000

#define IG_RPC_HANDSHAKE_US INT64_C(10000000)

/* Until a request is there, and what a slow line gets on top for what it has brought: 16
 * MiB at half a Mbit/s come in time, a byte now and then does not. */
#define IG_RPC_REQUEST_US INT64_C(15000000)
#define IG_RPC_REQUEST_BYTES_PER_S ((int64_t)(64 * IG_KIB))

#define IG_RPC_CONNECT_US INT64_C(20000000)

/* A client that is at a message of a stream reads on soon; if not, its I/O thread does,
 * in good time for the PINGs of a server with a short keepalive. */
#define IG_RPC_READING_REST_US INT64_C(100000)

/* A connection that was unwatched for longer is looked at before it is used again: no
 * server ends and is started anew in less. */
#define IG_RPC_READING_LOOK_US INT64_C(5000)

/* A client's thread that reads waits so long at once, then looks whether its call was
 * ended by another: as soon as a person notices, and not so often that it costs anything.
 */
#define IG_RPC_READING_SLICE_US INT64_C(20000)

/* A call that a lingering thread began may take so long before the connection's I/O
 * thread watches again, for a cancel or other calls: most are answered in a tenth of it,
 * by a thread that then waits for the next. */
#define IG_RPC_LINGERING_REST_US INT64_C(5000)

/* So long a server's thread that has answered waits for the connection's next call: a
 * client that asks without a pause is back within a tenth of it, and another thread that
 * needs the place gets one more. */
#define IG_RPC_LINGER_US INT64_C(10000)

/* An answer that is kept with its plan, as that of SELECT 1: plans are kept by hundreds.
 */
#define IG_FLIGHT_KEPT_ANSWER_BYTES ((size_t)2048)

/* Threads that wait so: clients beyond these are served through the I/O threads. */
#define IG_FLIGHT_LINGERING_MAX 64

/* Silence, then a PING, then the end: peers that vanish are noticed within 40 s. */
#define IG_RPC_KEEPALIVE_US INT64_C(30000000)
#define IG_RPC_KEEPALIVE_ANSWER_US INT64_C(10000000)

/* Connections without a call. Drivers' pools keep theirs for 10 to 30 minutes. */
#define IG_RPC_IDLE_US INT64_C(3600000000)

/* The same before the first call that was answered without an error: anyone can connect.
 * With IG_RPC_REQUEST_US nobody holds a connection for longer than half a minute by
 * dribbling. */
#define IG_RPC_NEW_IDLE_US INT64_C(10000000)

/* Connections, which cost some 30 KiB each before anyone has logged in. */
#define IG_RPC_CONNECTIONS_MAX 16384

/* An answered call whose peer takes nothing of what is queued, or a peer that does not
 * read its socket at all: the memory is needed. */
#define IG_RPC_STALL_US INT64_C(300000000)

/* Between the two GOAWAYs, for a peer that does not answer the PING between them. */
#define IG_RPC_GOAWAY_US INT64_C(1000000)

/* What is read and thrown away of a connection that is over, so that its peer can read
 * why; more is a peer that does not listen. As much as sockets hold that are large. */
#define IG_RPC_DISCARDED_BYTES_MAX (8 * IG_MIB)

/* gRPC allows eight digits of hours; a deadline beyond a year is none. */
#define IG_RPC_TIMEOUT_US_MAX INT64_C(31536000000000)

/* Cluster */

/* Measured up to 256; each takes some 300 bytes of every list. */
#define IG_MEMBERS_MAX 1024

/* Dead ones that are still shown, and for how long: a worker that starts and dies all the
 * time does not fill the list. */
#define IG_MEMBERS_DEAD_MAX 256
#define IG_MEMBER_FORGET_US INT64_C(600000000)

/* Channels, the worker's service, the prover, metrics. */
#define IG_MEMBER_LISTENERS_MAX 8

/* Callers whose calls are told apart: all members, and those that were. */
#define IG_MEMBER_CALLERS_MAX 4096

/* How far a call may come behind a later one of the same caller: all streams of a
 * connection at a time, sixteen times. */
#define IG_MEMBER_CALLS_BEHIND_MAX 65536

/* In igloo.system.tasks: those that run, and those of the last statements. */
#define IG_CLUSTER_TASKS_SHOWN_MAX 1024

/* Heartbeats that a member may miss before it is suspect, and before it is lost; the
 * coordinator too. A busy machine misses one or two. */
#define IG_MEMBER_SUSPECT_BEATS 3
#define IG_MEMBER_DEAD_BEATS 10

/* What a worker says of itself and its figures: a few hundred bytes. */
#define IG_MEMBER_REQUEST_BYTES_MAX (64 * IG_KIB)

/* One heartbeat or its answer: a list of all members. */
#define IG_MEMBER_MESSAGE_BYTES_MAX (4 * IG_MIB)

/* From a challenge to its answer: the way there and back, on a busy machine. */
#define IG_JOIN_CHALLENGE_US INT64_C(10000000)

/* Challenges that were answered well within that time, so that none is good twice. */
#define IG_JOIN_ANSWERED_MAX 1024

/* Peers whose wrong tokens are counted; the one that was quiet for longest goes. */
#define IG_JOIN_PEERS_MAX 256

/* The longest that wrong tokens make a peer wait. */
#define IG_JOIN_WRONG_MAX_US INT64_C(30000000)

/* Between two attempts of a worker to join: a coordinator that is back finds its workers
 * within seconds, and 256 of them do not keep it busy. */
#define IG_JOIN_BACKOFF_MAX_US INT64_C(5000000)

/* One call that joins, or says good-bye. */
#define IG_JOIN_CALL_US INT64_C(5000000)

/* To reach a member: it is on the same network and was heard of seconds ago. */
#define IG_CLUSTER_CONNECT_US INT64_C(3000000)

/* A member that could not be reached is not tried again before: each of a statement's
 * tasks would wait for it anew. */
#define IG_CLUSTER_RETRY_US INT64_C(1000000)

/* Silence of a member that owes something, then a PING and as long for its answer: before
 * its heartbeats are missed for ten seconds. */
#define IG_CLUSTER_KEEPALIVE_US INT64_C(4000000)

/* For what an engine that ends still drops. */
#define IG_CLUSTER_CLOSE_US INT64_C(2000000)

/* One plan; those of TPC-H have some 20 KiB for each task, lists of files the rest. */
#define IG_CLUSTER_PLAN_BYTES_MAX (64 * IG_MIB)

/* What of a session travels with a plan; there are some twenty. */
#define IG_CLUSTER_SETTINGS_MAX 256

/* Tasks and reads at a time for one member: those of some hundred statements with 8 tasks
 * each; one stream for each read. */
#define IG_CLUSTER_TASKS_PER_MEMBER_MAX 1024
#define IG_CLUSTER_READS_PER_MEMBER_MAX IG_RPC_MEMBER_STREAMS_MAX

/* Batches of a partition that is made and read in one process: one is taken while the
 * next are made. */
#define IG_CLUSTER_LOCAL_BATCHES_MAX 4

/* Comparing files: what planning waits for at most, for how long an answer counts, lists
 * that are remembered of each member, threads and requests that wait for one. A hundred
 * thousand files take 0.3 s. */
#define IG_CLUSTER_FILES_US INT64_C(3000000)
#define IG_CLUSTER_FILES_KEPT_US INT64_C(5000000)
#define IG_CLUSTER_FILES_KEPT_MAX 256
#define IG_CLUSTER_FILES_THREADS 2
#define IG_CLUSTER_FILES_WAITING_MAX 64
#define IG_CLUSTER_FILES_BYTES_MAX (64 * IG_MIB)

/* Parts of databases that workers ask for: a thread waits for a connection of the
 * coordinator's to be closed at most, and a hundred statements have as many parts. */
#define IG_CLUSTER_LEASE_THREADS 4
#define IG_CLUSTER_LEASES_WAITING_MAX 4096

/* Connectors */

/* Loaded for good, some 20 MiB each; an installation has a handful. */
#define IG_CONNECTOR_DRIVERS_MAX 64

/* Names one library. */
#define IG_CONNECTOR_MANIFEST_BYTES_MAX (64 * IG_KIB)

/* Of one error: our drivers give five. */
#define IG_CONNECTOR_DETAILS_MAX 32

/* (default) Of one source: a PostgreSQL as installed takes 100 from everybody. */
#define IG_CONNECTOR_CONNECTIONS_MAX 16
#define IG_CONNECTOR_CONNECTIONS_LIMIT 1024

/* Connecting: a server that is there answers in milliseconds. */
#define IG_CONNECTOR_CONNECT_US INT64_C(3000000)

/* Between two attempts to reach a source that did not answer. */
#define IG_CONNECTOR_PROBE_US INT64_C(1000000)

/* Calls of drivers that were given up and hold their thread until they come back. More,
 * and the source counts as unreachable. */
#define IG_CONNECTOR_ABANDONED_MAX 32

/* How long a cancelled driver may take to come back before it is given up. */
#define IG_CONNECTOR_CANCEL_US INT64_C(2000000)

/* How often a waiting thread asks its tokens: what a cancel costs at most. */
#define IG_CONNECTOR_POLL_US INT64_C(20000)

/* Waiting for a place in the budget of a source: as a statement waits in the queue. */
#define IG_CONNECTOR_WAIT_US INT64_C(300000000)

/* Connections without work; servers and firewalls drop them within minutes. */
#define IG_CONNECTOR_IDLE_US INT64_C(60000000)

/* How long what is known of tables and listings counts. */
#define IG_LISTING_SECONDS 60

/* Tables of one source in a listing, and looked at. */
#define IG_CONNECTOR_LISTING_MAX 1000000
#define IG_CONNECTOR_TABLES_MAX 10000

/* A part of fewer bytes is not worth a connection of its own. */
#define IG_CONNECTOR_PART_BYTES (8 * 1024 * 1024)

/* Parts of one scan: more than engines have cores. */
#define IG_CONNECTOR_PARTS_MAX 256

/* One part: a text of IG_DIALECT_TEXT_MAX and a schema. */
#define IG_CONNECTOR_PART_ENCODED_MAX (64 * IG_MIB)

/* igloo.system.pushdown_log: some minutes of a busy server, in a few MiB. */
#define IG_PUSHDOWN_LOG_ENTRIES_MAX 1000
#define IG_PUSHDOWN_LOG_BYTES_MAX (8 * IG_MIB)
#define IG_PUSHDOWN_TEXT_BYTES_MAX (64 * IG_KIB)

/* Log */

/* Log collectors cut lines there. */
#define IG_LOG_LINE_MAX (8 * IG_KIB)

#endif
