//! What a statement is and touches, told to C: the description and the accesses of a plan. All of
//! it is owned here and lent to C as long as the plan lives.

use crate::abi::{
    boundary, igb_access, igb_description, igb_error, igb_pair, igb_str, StrList,
    IGB_FLAG_OVERWRITE, IGB_KIND_COPY, IGB_KIND_CREATE_EXTERNAL_TABLE, IGB_KIND_CREATE_TABLE,
    IGB_KIND_CREATE_TABLE_AS, IGB_KIND_CREATE_VIEW, IGB_KIND_DROP_TABLE, IGB_KIND_DROP_VIEW,
    IGB_KIND_INSERT, IGB_KIND_QUERY,
};
use crate::parse::{fold, Statement};
use crate::plan::igb_plan;

/// The owned form of igb_description.
pub(crate) struct Description {
    pub kind: i32,
    pub flags: u32,
    pub target: StrList,
    pub definition: String,
    view_columns: StrList,
    pub location: String,
    format: String,
    partition_columns: StrList,
    options: PairList,
    has_columns: bool,
    insert_columns: StrList,
}

impl Description {
    fn new(kind: i32, flags: u32, target: &[String]) -> Description {
        Description {
            kind,
            flags,
            target: StrList::new(target.to_vec()),
            definition: String::new(),
            view_columns: StrList::new(Vec::new()),
            location: String::new(),
            format: String::new(),
            partition_columns: StrList::new(Vec::new()),
            options: PairList::new(Vec::new()),
            has_columns: false,
            insert_columns: StrList::new(Vec::new()),
        }
    }

    pub fn of(statement: &Statement) -> Description {
        match statement {
            Statement::Query(_) => Description::new(IGB_KIND_QUERY, 0, &[]),
            Statement::Insert { flags, target, columns, .. } => Description {
                insert_columns: StrList::new(columns.clone()),
                ..Description::new(IGB_KIND_INSERT, *flags, target)
            },
            Statement::Copy(copy) => Description {
                location: copy.location.clone(),
                format: copy.format.clone(),
                partition_columns: StrList::new(copy.partition_columns.clone()),
                options: PairList::new(copy.options.clone()),
                ..Description::new(IGB_KIND_COPY, copy.flags & IGB_FLAG_OVERWRITE, &[])
            },
            Statement::CreateTableAs { flags, target, columns, .. } => Description {
                view_columns: StrList::new(columns.iter().map(|c| fold(&c.name)).collect()),
                ..Description::new(IGB_KIND_CREATE_TABLE_AS, *flags, target)
            },
            Statement::CreateTable { flags, target, .. } => Description {
                has_columns: true,
                ..Description::new(IGB_KIND_CREATE_TABLE, *flags, target)
            },
            Statement::CreateView { flags, target, columns, definition, .. } => Description {
                definition: definition.clone(),
                view_columns: StrList::new(columns.clone()),
                ..Description::new(IGB_KIND_CREATE_VIEW, *flags, target)
            },
            Statement::CreateExternalTable { flags, target, table, options } => Description {
                location: table.locations.first().cloned().unwrap_or_default(),
                format: table.file_type.to_lowercase(),
                partition_columns: StrList::new(table.table_partition_cols.clone()),
                options: PairList::new(options.clone()),
                has_columns: !table.columns.is_empty(),
                ..Description::new(IGB_KIND_CREATE_EXTERNAL_TABLE, *flags, target)
            },
            Statement::Drop { flags, target, view } => {
                let kind = if *view { IGB_KIND_DROP_VIEW } else { IGB_KIND_DROP_TABLE };
                Description::new(kind, *flags, target)
            }
        }
    }

    /// The names given to the columns of a view or of CREATE TABLE AS.
    pub fn view_columns(&self) -> &[String] {
        self.view_columns.texts()
    }

    /// The columns that an INSERT lists.
    pub fn insert_columns(&self) -> &[String] {
        self.insert_columns.texts()
    }

    fn lend(&self) -> igb_description {
        igb_description {
            kind: self.kind,
            flags: self.flags,
            target: self.target.as_ptr(),
            target_parts: self.target.len(),
            definition: igb_str::borrowed(&self.definition),
            view_columns: self.view_columns.as_ptr(),
            view_columns_count: self.view_columns.len(),
            location: igb_str::borrowed(&self.location),
            format: igb_str::borrowed(&self.format),
            partition_columns: self.partition_columns.as_ptr(),
            partition_columns_count: self.partition_columns.len(),
            options: self.options.as_ptr(),
            options_count: self.options.len(),
            has_columns: self.has_columns,
            insert_columns: self.insert_columns.as_ptr(),
            insert_columns_count: self.insert_columns.len(),
        }
    }
}

/// Owned pairs with the array that C reads.
struct PairList {
    // The views point into these.
    #[allow(dead_code)]
    pairs: Vec<(String, String)>,
    views: Vec<igb_pair>,
}

// As StrList.
unsafe impl Send for PairList {}
unsafe impl Sync for PairList {}

impl PairList {
    fn new(pairs: Vec<(String, String)>) -> PairList {
        let views = pairs
            .iter()
            .map(|(key, value)| igb_pair {
                key: igb_str::borrowed(key),
                value: igb_str::borrowed(value),
            })
            .collect();
        PairList { pairs, views }
    }

    fn as_ptr(&self) -> *const igb_pair {
        if self.views.is_empty() {
            std::ptr::null()
        } else {
            self.views.as_ptr()
        }
    }

    fn len(&self) -> usize {
        self.views.len()
    }
}

/// One access, before it is lent.
pub(crate) struct Access {
    pub kind: i32,
    pub catalog: String,
    pub schema: String,
    pub name: String,
    pub columns: Vec<String>,
}

struct OwnedAccess {
    // The views point into these.
    #[allow(dead_code)]
    names: StrList,
    #[allow(dead_code)]
    columns: StrList,
}

/// The accesses of a plan with the array that C reads.
pub(crate) struct AccessList {
    #[allow(dead_code)]
    owned: Vec<OwnedAccess>,
    views: Vec<igb_access>,
}

// As StrList.
unsafe impl Send for AccessList {}
unsafe impl Sync for AccessList {}

impl AccessList {
    pub fn new(accesses: Vec<Access>) -> AccessList {
        let mut owned = Vec::with_capacity(accesses.len());
        let mut views = Vec::with_capacity(accesses.len());
        for access in accesses {
            let names = StrList::new(vec![access.catalog, access.schema, access.name]);
            let columns = StrList::new(access.columns);
            let view = |at: usize| names.views().get(at).copied().unwrap_or(igb_str::EMPTY);
            views.push(igb_access {
                kind: access.kind,
                catalog: view(0),
                schema: view(1),
                name: view(2),
                columns: columns.as_ptr(),
                columns_count: columns.len(),
            });
            owned.push(OwnedAccess { names, columns });
        }
        AccessList { owned, views }
    }
}

/// What the statement is. Everything is borrowed from the plan.
///
/// # Safety
/// `plan` and `ret_description` are valid; `ret_error` is NULL or valid.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_describe(
    plan: *const igb_plan,
    ret_description: *mut igb_description,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            ret_description.write((&*plan).shared.description.lend());
            Ok(())
        })
    }
}

/// What the statement touches. Borrowed from the plan. A table read and its columns; a path read
/// (read_*() and FROM 'path'); a path written (COPY); the table that INSERT writes; functions.
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_accesses(
    plan: *const igb_plan,
    ret_accesses: *mut *const igb_access,
    ret_count: *mut usize,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let views = &(&*plan).shared.accesses.views;
            ret_accesses.write(if views.is_empty() { std::ptr::null() } else { views.as_ptr() });
            ret_count.write(views.len());
            Ok(())
        })
    }
}
