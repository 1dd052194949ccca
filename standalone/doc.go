// Package standalone is the whole product in one process and one folder: the Run functions of api, consumer and batch,
// on servers that are embedded.
//
//	journal  kfake, on <data_dir>/journal, every batch fsynced
//	gates    miniredis, in memory only
//	ledger   SQLite, <data_dir>/ledger.db, every commit fsynced
//
// The roles do not know. What the embedded Redis forgets at every stop comes back as it does for a real one that was
// lost: the api finds the gates missing and rebuilds them from ledger and journal (rules 16 to 25).
//
// The folder belongs to one process at a time: kfake does not lock its files, so standalone does.
package standalone
